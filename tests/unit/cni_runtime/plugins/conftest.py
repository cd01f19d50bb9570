"""Calls and a context for plugins, without a kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cni_runtime.call import PluginCall, Verb
from cni_runtime.net.libnftables import NftError
from cni_runtime.net.quiesce import Reaper
from cni_runtime.plugins.base import Context
from cni_runtime.testing.invoker import FakeInvoker

MakeCall = Callable[..., PluginCall]


class NoNft:
    """An nftables that nobody should need."""

    def run(self, commands: str) -> str:
        raise AssertionError(commands)


@pytest.fixture
def delegates() -> FakeInvoker:
    return FakeInvoker()


class BrokenNft:
    """An nftables that refuses everything."""

    def run(self, commands: str) -> str:
        raise NftError("no memory")


@pytest.fixture
def context(tmp_path: Path, delegates: FakeInvoker) -> Context:
    return Context(delegates, NoNft(), Reaper(), tmp_path / "run", tmp_path / "data")


@pytest.fixture
def call() -> MakeCall:
    """Makes an ADD for container ``c`` out of options, with ``cni_args`` as CNI_ARGS."""

    def make(
        plugin: str, *, cni_args: Mapping[str, str] | None = None, verb: Verb = Verb.ADD, **options: Any
    ) -> PluginCall:
        config = {"cniVersion": "1.1.0", "name": "net", "type": plugin, **options}
        args = tuple((cni_args or {}).items())
        return PluginCall(verb=verb, type=plugin, config=config, container_id="c", ifname="eth0", args=args)

    return make
