"""The operations of CNI over a network list."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from cni_runtime.call import Invoker
from cni_runtime.conf.types import NetworkList
from cni_runtime.result import Result

Before = Callable[[int, str], Awaitable[None]]


class Attachment(Struct, frozen=True, kw_only=True):
    container_id: str
    netns: str | None
    ifname: str
    args: tuple[tuple[str, str], ...] = ()
    capability_args: Mapping[str, Any] = {}


class Step(Struct, frozen=True):
    plugin: str
    verb: str
    seconds: float


class Added(Struct, frozen=True):
    result: Result
    raw: dict[str, Any]
    steps: tuple[Step, ...]


class CniRuntime:
    def __init__(
        self,
        invoker: Invoker,
        *,
        path: Sequence[Path],
        cache_dir: Path = Path("/var/lib/cni"),
        rollback_timeout: float = 30,
    ) -> None: ...

    async def add(
        self, network: NetworkList, attachment: Attachment, *, before: Before | None = None, rollback: bool = True
    ) -> Added:
        raise NotImplementedError

    async def delete(
        self, network: NetworkList, attachment: Attachment, *, before: Before | None = None
    ) -> tuple[Step, ...]:
        raise NotImplementedError

    async def check(self, network: NetworkList, attachment: Attachment) -> tuple[Step, ...]:
        raise NotImplementedError

    async def gc(self, network: NetworkList, valid: Iterable[tuple[str, str]]) -> tuple[Step, ...]:
        raise NotImplementedError

    async def status(self, network: NetworkList) -> tuple[Step, ...]:
        raise NotImplementedError

    async def version(self, plugin_type: str) -> tuple[str, ...]:
        raise NotImplementedError
