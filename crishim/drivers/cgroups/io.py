"""What a group has read from and written to block devices.

Source: ``io.stat`` in the kernel's Documentation/admin-guide/cgroup-v2, ``blkio.*`` in cgroup-v1. Version 1 counts what
a throttled device or one with the scheduler BFQ does, and what leaves the page cache later counts for the node.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from msgspec import Struct

from crishim.drivers.cgroups.files import read_text
from crishim.drivers.cgroups.hierarchy import Hierarchies

_V1 = {"io_service_bytes": ("read_bytes", "write_bytes"), "io_serviced": ("reads", "writes")}
_V2 = {"rbytes": "read_bytes", "wbytes": "write_bytes", "rios": "reads", "wios": "writes"}


class DeviceIo(Struct, frozen=True):
    """Bytes and operations of one block device, ``number`` being ``MAJOR:MINOR``, since the group was made."""

    number: str
    read_bytes: int = 0
    write_bytes: int = 0
    reads: int = 0
    writes: int = 0


def read_io(mounted: Hierarchies, group: str) -> tuple[DeviceIo, ...]:
    """The devices that ``group`` has used; empty where the kernel does not account for them."""
    group = group.lstrip("/")
    found: dict[str, dict[str, int]] = defaultdict(dict)
    if root := mounted.controllers.get("blkio"):
        for file, (read, written) in _V1.items():
            text = _counted(root / group, file)
            _add_v1(found, {"Read": read, "Write": written}, text)
    elif mounted.unified:
        _add_v2(found, read_text(mounted.unified / group / "io.stat"))
    return tuple(DeviceIo(number, **values) for number, values in found.items())


def total_io(groups: Iterable[tuple[DeviceIo, ...]]) -> tuple[DeviceIo, ...]:
    """The sums of several groups, by device."""
    found: dict[str, DeviceIo] = {}
    for device in (device for group in groups for device in group):
        known = found.get(device.number, DeviceIo(device.number))
        names = _V2.values()
        sums = {name: getattr(known, name) + getattr(device, name) for name in names}
        found[device.number] = DeviceIo(device.number, **sums)
    return tuple(found.values())


def device_path(number: str) -> str:
    """The file of a block device below /dev, or its ``MAJOR:MINOR`` when it has gone."""
    try:
        return _device_path(number)
    except OSError:
        return number


@lru_cache(maxsize=256)
def _device_path(number: str) -> str:
    return "/dev/" + Path(f"/sys/dev/block/{number}").readlink().name.replace("!", "/")


def _counted(directory: Path, file: str) -> str:
    """By whoever counts: without a device there is only a line for the sum of all."""
    texts = (read_text(directory / f"blkio.{policy}.{file}_recursive") for policy in ("throttle", "bfq"))
    return next((text for text in texts if ":" in text), "")


def _add_v1(found: dict[str, dict[str, int]], names: Mapping[str, str], text: str) -> None:
    """Lines such as ``8:0 Read 4096``."""
    for number, operation, value in (line for line in map(str.split, text.splitlines()) if len(line) == 3):
        if name := names.get(operation):
            found[number][name] = int(value)


def _add_v2(found: dict[str, dict[str, int]], text: str) -> None:
    """Lines such as ``8:0 rbytes=4096 wbytes=0 rios=1 wios=0``.

    Linux 5.15 to 5.18 does not end that of a device without numbers, so the next one follows in the same line.
    """
    number = ""
    for field in text.split():
        key, is_value, value = field.partition("=")
        if not is_value:
            number = field
        elif name := _V2.get(key):
            found[number][name] = int(value)
