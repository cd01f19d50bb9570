"""A verb whose task is cancelled ends with its work, so that the undo that follows does not overtake it."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from typing import Any

import anyio.to_thread
import pytest

from cni_runtime.net.libnftables import NftError
from cni_runtime.plugins.base import Context
from cni_runtime.plugins.registry import BuiltinPlugins
from tests.unit.cni_runtime.plugins.conftest import MakeCall

pytestmark = pytest.mark.anyio

PREVIOUS = {"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.2/24"}]}
PORT = {"portMappings": [{"hostPort": 1, "containerPort": 2, "protocol": "tcp"}]}


class SlowNft:
    """Takes its time, and refuses what it is told."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def run(self, commands: str) -> str:
        self.begun.set()
        self.go_on.wait()
        raise NftError(commands)


@pytest.mark.parametrize(
    ("plugin", "options"),
    [("portmap", {"snat": False, "runtimeConfig": PORT}), ("firewall", {"backend": "iptables"})],
)
async def test_a_cancelled_add_ends_with_its_work(
    call: MakeCall, context: Context, plugin: str, options: dict[str, Any]
) -> None:
    nft = SlowNft()
    made, slow = call(plugin, prevResult=PREVIOUS, **options), dataclasses.replace(context, nft=nft)
    adding = asyncio.create_task(BuiltinPlugins()[plugin].add(made, slow))
    await anyio.to_thread.run_sync(nft.begun.wait)
    adding.cancel()
    ended, _ = await asyncio.wait([adding], timeout=0.02)
    nft.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await adding
    assert not ended
