"""The verbs of tuning. All kernel work of a verb is one call in one thread, which enters the pod's namespace."""

from __future__ import annotations

import json
import logging
from functools import partial
from pathlib import Path
from typing import ClassVar

import msgspec
from msgspec import Struct, structs

from cni_runtime import faults, files
from cni_runtime.call import PluginCall
from cni_runtime.errors import CniError
from cni_runtime.net import plan as plans
from cni_runtime.net import sysctl
from cni_runtime.net.inspect import Link, find_link
from cni_runtime.net.plan import Effect, Place, Plan, Where
from cni_runtime.net.settings import ChangeSettings, Settings, set_settings, settings_of
from cni_runtime.net.sockets import NetlinkError, NetlinkSocket, in_namespace, opened, run_in_own_thread
from cni_runtime.plugins.base import Context, Plugin, decode, netns_of, network_of, require_previous
from cni_runtime.plugins.tuning.config import (
    TuningConfig,
    read_allowlist,
    require_allowed,
    saved_path,
    settings,
    sysctl_keys,
    tuning_config,
)
from cni_runtime.result import Result

log = logging.getLogger(__name__)


class Seen(Struct, frozen=True):
    """What was found in the pod: its interface, and sysctls by path; None for one that cannot be read."""

    link: Link | None
    sysctls: dict[str, str | None] = {}


class Tune(Struct, frozen=True):
    """Sysctls of the pod, from what they were before; None: that is not known, and not set again."""

    name: ClassVar[str] = "set_sysctls"
    where: ClassVar[Where] = Where.POD
    values: tuple[tuple[str, str], ...]
    before: tuple[tuple[str, str | None], ...]

    def do(self, place: Place) -> None:
        for key, value in self.values:
            sysctl.write(key, value)

    def undo(self, place: Place) -> None:
        for key, value in self.before:
            if value is not None:
                sysctl.write(key, value)


class Save(Struct, frozen=True):
    """The file that DEL finds the former settings in."""

    name: ClassVar[str] = "save"
    where: ClassVar[Where] = Where.POD
    path: Path
    settings: Settings

    def do(self, place: Place) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.replace(self.path, json.dumps(msgspec.to_builtins(self.settings), indent=1).encode())

    def undo(self, place: Place) -> None:
        self.path.unlink(missing_ok=True)


class Tuning(Plugin):
    """See the package."""

    type: ClassVar[str] = "tuning"

    async def add(self, call: PluginCall, context: Context) -> Result:
        config = tuning_config(call, context)
        return await run_in_own_thread(partial(_add, call, config, require_previous(call)))

    async def delete(self, call: PluginCall, context: Context) -> None:
        # Not what the pod asked for: an ADD that was refused because of it has its DEL, too.
        config = decode(call, TuningConfig, context)
        await run_in_own_thread(partial(_delete, call, saved_path(call, config)))

    async def check(self, call: PluginCall, context: Context) -> None:
        config = tuning_config(call, context)
        require_previous(call)
        await run_in_own_thread(partial(_check, call, config))

    async def status(self, call: PluginCall, context: Context) -> None:
        config = tuning_config(call, context)
        require_allowed(call, config, await run_in_own_thread(read_allowlist))


def tuning_plan(config: TuningConfig, keys: dict[str, str], seen: Seen, ifname: str, saved: Path) -> Plan:
    """Effects of an ADD. Raises CniError when the interface is needed and not there. Pure."""
    effects: list[Effect] = []
    if keys:
        effects.append(Tune(tuple(keys.items()), tuple(seen.sysctls.items())))
    wanted = settings(config)
    if wanted != Settings():
        if seen.link is None:
            raise CniError(f"interface {ifname} is not in the pod")
        before = settings_of(seen.link, wanted)
        effects += (Save(saved, before), ChangeSettings(Where.POD, ifname, wanted, before))
    return tuple(effects)


def with_mac(result: Result, ifname: str, mac: str) -> Result:
    """``result`` with another MAC for the interface; empty: as it is. Pure."""
    if not mac:
        return result
    changed = (structs.replace(one, mac=mac) if one.name == ifname else one for one in result.interfaces)
    return structs.replace(result, interfaces=tuple(changed))


def compare(config: TuningConfig, keys: dict[str, str], seen: Seen, ifname: str) -> None:
    """Raises CniError that says what is other than the configuration has it. Pure."""
    for key, value in keys.items():
        found = seen.sysctls[key]
        # The kernel puts tabs between the numbers of a sysctl that has several.
        if found is not None and found.split() != value.split():
            raise CniError(f"sysctl {key} is {found!r}, expected {value!r}")
    if seen.link is None:
        raise CniError(f"interface {ifname} is not in the pod")
    wanted = structs.replace(settings(config), promisc=config.promisc)
    found_settings = structs.asdict(settings_of(seen.link, wanted))
    for name, expected in structs.asdict(wanted).items():
        if found_settings[name] != expected:
            raise CniError(f"interface {ifname} has {name} {found_settings[name]}, expected {expected}")


def _add(call: PluginCall, config: TuningConfig, result: Result) -> Result:
    require_allowed(call, config, read_allowlist())
    keys = sysctl_keys(call, config)
    with opened(netns_of(call)) as pod:
        seen = in_namespace(pod, partial(_look, call.ifname, tuple(keys)))
        plan = tuning_plan(config, keys, seen, call.ifname, saved_path(call, config))
        plans.apply(plan, pod=pod, label="tuning.ADD")
    return with_mac(result, call.ifname, config.mac)


def _look(ifname: str, keys: tuple[str, ...]) -> Seen:
    with NetlinkSocket() as netlink:
        return Seen(find_link(netlink, ifname), {key: _read(key) for key in keys})


def _read(key: str) -> str | None:
    try:
        return sysctl.read(key)
    except FileNotFoundError:
        raise CniError(f"the pod's network namespace has no sysctl {key}") from None
    except OSError:
        return None  # some can only be written


def _check(call: PluginCall, config: TuningConfig) -> None:
    keys = sysctl_keys(call, config)
    with opened(netns_of(call)) as pod:
        compare(config, keys, in_namespace(pod, partial(_look, call.ifname, tuple(keys))), call.ifname)


def _delete(call: PluginCall, saved: Path) -> None:
    """Change back what ADD changed, as far as that is possible: the interface is about to go, or to be given back."""
    faults.reach("tuning.DEL.restore")
    before = _saved(saved)
    if call.netns and before is not None:
        try:
            with opened(call.netns) as pod:
                in_namespace(pod, partial(_restore, call.ifname, before))
        except FileNotFoundError:
            pass
        except NetlinkError as exc:
            log.warning("network %s: cannot restore %s: %s", network_of(call), call.ifname, exc)
    faults.reach("tuning.DEL.forget")
    saved.unlink(missing_ok=True)


def _saved(path: Path) -> Settings | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Settings)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as exc:
        log.warning("%s: %s", path, exc)
        return None


def _restore(ifname: str, before: Settings) -> None:
    with NetlinkSocket() as netlink:
        link = find_link(netlink, ifname)
        if link is not None:
            netlink.run(set_settings(link.index, before))
