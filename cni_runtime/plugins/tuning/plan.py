"""From configuration and what was seen of the pod to the effects of an ADD; and what CHECK compares. Pure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import msgspec
from msgspec import Struct, structs

from cni_runtime import files
from cni_runtime.errors import CniError
from cni_runtime.net import sysctl
from cni_runtime.net.inspect import Link
from cni_runtime.net.plan import Effect, Place, Plan, Where
from cni_runtime.net.settings import ChangeSettings, Settings, settings_of
from cni_runtime.plugins.tuning.config import TuningConfig, settings
from cni_runtime.result import Result


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
        files.remove(self.path)


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
