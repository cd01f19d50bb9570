"""The verbs of host-local."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import ClassVar

from msgspec import Struct

from cni_runtime import faults
from cni_runtime.call import PluginCall
from cni_runtime.errors import CniError, ErrorCode
from cni_runtime.net.sockets import run_in_own_thread
from cni_runtime.plugins.base import Context, Plugin, nothing_done_yet, valid_attachments
from cni_runtime.plugins.host_local.config import HostLocalConfig, host_local_config, reservation_directory
from cni_runtime.plugins.host_local.ranges import (
    Address,
    Range,
    RangeSet,
    capacity,
    describe,
    free,
    next_free,
    range_of,
)
from cni_runtime.plugins.host_local.resolv import parse_resolv_conf
from cni_runtime.plugins.host_local.store import Holder, Store
from cni_runtime.result import DNS, IPConfig, Result


class Figures(Struct, frozen=True):
    """How full a range set is."""

    ranges: str
    capacity: int
    free: int


class HostLocal(Plugin):
    """See the package. One instance keeps the stores it has used, so that reservations are read once."""

    type: ClassVar[str] = "host-local"

    def __init__(self) -> None:
        self._stores: dict[Path, Store] = {}
        self._guard = threading.Lock()

    async def add(self, call: PluginCall, context: Context) -> Result:
        with nothing_done_yet():
            config = host_local_config(call, context)
        return await run_in_own_thread(partial(self._add, config, _holder(call)))

    async def delete(self, call: PluginCall, context: Context) -> None:
        directory = reservation_directory(call, context)
        await run_in_own_thread(partial(self._delete, directory, _holder(call)))

    async def check(self, call: PluginCall, context: Context) -> None:
        config, holder = host_local_config(call, context), _holder(call)
        if not await run_in_own_thread(partial(self._owned, config, holder)):
            raise CniError(f"{config.directory} has no address of container {holder.container_id}")

    async def gc(self, call: PluginCall, context: Context) -> None:
        directory, valid = reservation_directory(call, context), valid_attachments(call)
        await run_in_own_thread(partial(self._keep_only, directory, valid))

    async def status(self, call: PluginCall, context: Context) -> None:
        host_local_config(call, context)

    async def figures(self, call: PluginCall, context: Context) -> tuple[Figures, ...]:
        """How full each range set of the configuration is."""
        return await run_in_own_thread(partial(self._figures, host_local_config(call, context)))

    def _add(self, config: HostLocalConfig, holder: Holder) -> Result:
        dns = parse_resolv_conf(Path(config.resolv_conf).read_text()) if config.resolv_conf else DNS()
        store = self._store(config.directory)
        with ExitStack() as held:
            with nothing_done_yet():  # else the DEL that follows would release what an earlier ADD has reserved
                held.enter_context(store.locked())
                chosen = _choose(config, store, holder)
            try:
                for number, (address, _) in enumerate(chosen):
                    faults.reach(f"host-local.ADD.reserve.{number}")
                    store.reserve(address, holder, number)
            except OSError:
                store.release(holder)
                raise
        ips = tuple(IPConfig(address=one.cidr(address), gateway=str(one.gateway)) for address, one in chosen)
        return Result(ips=ips, routes=config.routes, dns=dns)

    def _delete(self, directory: Path, holder: Holder) -> None:
        store = self._store(directory)
        if directory.exists():
            with store.locked():
                faults.reach("host-local.DEL.release")
                store.release(holder)

    def _owned(self, config: HostLocalConfig, holder: Holder) -> bool:
        store = self._store(config.directory)
        with store.locked():
            return bool(store.of(holder))

    def _keep_only(self, directory: Path, valid: frozenset[tuple[str, str]]) -> None:
        store = self._store(directory)
        with store.locked():
            store.keep_only(valid)

    def _figures(self, config: HostLocalConfig) -> tuple[Figures, ...]:
        store = self._store(config.directory)
        with store.locked():
            reserved = store.reserved()
        return tuple(Figures(describe(one), capacity(one), free(one, reserved)) for one in config.sets)

    def _store(self, directory: Path) -> Store:
        with self._guard:
            return self._stores.setdefault(directory, Store(directory))


def _holder(call: PluginCall) -> Holder:
    return Holder(call.container_id.strip(), call.ifname)


def _choose(config: HostLocalConfig, store: Store, holder: Holder) -> list[tuple[Address, Range]]:
    """An address out of each set, all of them before the first is reserved."""
    wanted = list(config.requested)
    chosen: list[tuple[Address, Range]] = []
    for number, ranges in enumerate(config.sets):
        address = next((one for one in wanted if range_of(ranges, one)), None)
        if address is None:
            chosen.append(_any(config, store, holder, number))
        else:
            wanted.remove(address)
            chosen.append(_requested(ranges, store, address))
    if wanted:
        raise CniError(f"requested addresses are in no range: {', '.join(map(str, wanted))}")
    return chosen


def _any(config: HostLocalConfig, store: Store, holder: Holder, number: int) -> tuple[Address, Range]:
    ranges, reserved = config.sets[number], store.reserved()
    for address in store.of(holder):
        if range_of(ranges, address):
            raise CniError(f"{address} is allocated to container {holder.container_id} already")
    found = next_free(ranges, store.last(number), reserved)
    if found is None:
        message = f"no free address in range set {number} ({describe(ranges)}): all {capacity(ranges)} are reserved"
        raise CniError(f"{message} in {config.directory}", code=ErrorCode.TRY_AGAIN_LATER)
    return found


def _requested(ranges: RangeSet, store: Store, address: Address) -> tuple[Address, Range]:
    one = range_of(ranges, address)
    assert one is not None
    if address == one.gateway:
        raise CniError(f"requested address {address} is the gateway of {one.subnet}")
    holder = store.reserved().get(address)
    if holder is not None:
        raise CniError(f"requested address {address} is reserved by container {holder.container_id or 'unknown'}")
    return address, one
