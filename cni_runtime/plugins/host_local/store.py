"""The reservation files: one for each address, named by it, holding the container's id and interface.

Beside them lie ``last_reserved_ip.N`` for each range set, ``lock``, and ``.boot_id``, which is ours and tells in
which boot the directory was last used: addresses of an earlier boot have no owner any more.

Source: the other files are those of the reference plugin 1.9, which may use the same directory.
"""

from __future__ import annotations

import errno
import ipaddress
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from cni_runtime import faults, files
from cni_runtime.plugins.host_local.lock import DirectoryLock
from cni_runtime.plugins.host_local.ranges import Address

_BOOT_FILE = ".boot_id"
_NEW = ".reservation"
_MAX_BYTES = 4096


class Holder(Struct, frozen=True):
    """Whose reservation it is. Files of very old plugins have no ``ifname``; one cut short by a crash has nothing."""

    container_id: str
    ifname: str = ""

    def owns(self, other: Holder) -> bool:
        """Whether ``other``, out of a file, is this one; without an interface it is any of the container's."""
        return self.container_id == other.container_id and other.ifname in ("", self.ifname)


class Store:
    """One directory. The methods are for one thread that has it ``locked``; reservations are cached between uses."""

    def __init__(self, directory: Path, *, lock_timeout: float = 10.0, boot: Boot | None = None) -> None:
        self.directory = directory
        self._lock = DirectoryLock(directory, lock_timeout)
        self._boot = boot
        self._boot_checked = False
        self._known: dict[str, tuple[int, Address, Holder]] = {}  # by the file's name; the number is its inode
        self._reserved: dict[Address, Holder] = {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the directory, lock it, and see what other processes have changed. Raises CniError, OSError."""
        if not self.directory.is_dir():
            self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        with self._lock.held():
            self._refresh()
            if not self._boot_checked:
                self._forget_earlier_boots()
                self._boot_checked = True
            yield

    def reserved(self) -> Mapping[Address, Holder]:
        """All reservations."""
        return self._reserved

    def of(self, holder: Holder) -> list[Address]:
        """What ``holder`` has."""
        return [address for address, found in self._reserved.items() if holder.owns(found)]

    def reserve(self, address: Address, holder: Holder, range_id: int) -> None:
        """Write the reservation, whole or not at all, and remember it as the set's last. Raises FileExistsError."""
        path, new = self.directory / str(address), self.directory / _NEW
        if path.exists():
            raise FileExistsError(errno.EEXIST, "already reserved", str(path))
        inode = _write(new, f"{holder.container_id}\r\n{holder.ifname}")
        faults.reach("host-local.reserve.rename")
        new.rename(path)
        self._note(path.name, inode, address, holder)
        faults.reach("host-local.reserve.last")
        # A hint, written in place: replacing the file each time costs ext4 a millisecond.
        _write(self.directory / f"last_reserved_ip.{range_id}", str(address))

    def last(self, range_id: int) -> Address | None:
        """The address that was reserved last out of this range set; None when that is not known."""
        try:
            return ipaddress.ip_address((self.directory / f"last_reserved_ip.{range_id}").read_text().strip())
        except (OSError, ValueError):
            return None

    def release(self, holder: Holder) -> None:
        """Take away what ``holder`` has. Raises OSError."""
        # A file replaced by another process under the same inode number looks unchanged: look into what would go, and
        # into all when nothing is left of that.
        for name, inode in [(name, inode) for name, (inode, _, found) in self._known.items() if holder.owns(found)]:
            self._read(name, inode)
        if not self.of(holder):
            self._read_all()
        self._remove(name for name, (_, _, found) in tuple(self._known.items()) if holder.owns(found))
        (self.directory / _NEW).unlink(missing_ok=True)  # of one who was killed while he wrote it

    def keep_only(self, valid: frozenset[tuple[str, str]]) -> None:
        """Take away what belongs to no valid (container id, interface). Raises OSError."""
        holders = [Holder(container_id, ifname) for container_id, ifname in valid]
        self._read_all()
        stale = [name for name, (_, _, found) in self._known.items() if not any(one.owns(found) for one in holders)]
        self._remove(iter(stale))

    def _remove(self, file_names: Iterator[str]) -> None:
        for name in file_names:
            faults.reach("host-local.remove")
            (self.directory / name).unlink(missing_ok=True)
            self._forget(name)

    def _note(self, name: str, inode: int, address: Address, holder: Holder) -> None:
        self._known[name] = (inode, address, holder)
        self._reserved[address] = holder

    def _forget(self, name: str) -> None:
        if name in self._known:
            _, address, _ = self._known.pop(name)
            self._reserved.pop(address, None)

    def _read_all(self) -> None:
        self._known.clear()
        self._reserved.clear()
        self._refresh()

    def _refresh(self) -> None:
        with os.scandir(self.directory) as entries:
            there = {entry.name: entry.inode() for entry in entries}
        for name in self._known.keys() - there.keys():
            self._forget(name)
        for name, inode in there.items():
            if name not in self._known or self._known[name][0] != inode:
                self._read(name, inode)

    def _read(self, name: str, inode: int) -> None:
        self._forget(name)
        try:
            address = ipaddress.ip_address(name)
            text = files.read_regular(self.directory / name, _MAX_BYTES).decode(errors="replace")
        except (ValueError, OSError):
            return
        container_id, _, ifname = text.strip().partition("\r\n")
        self._note(name, inode, address, Holder(container_id, ifname))

    def _forget_earlier_boots(self) -> None:
        boot = self._boot or current_boot()
        marker = self.directory / _BOOT_FILE
        try:
            same = marker.read_text() == boot.id
        except OSError:
            same = False
        if not same:
            old = [name for name in self._known if (self.directory / name).stat().st_mtime < boot.time - 1]
            self._remove(iter(old))
            files.replace(marker, boot.id.encode())


def _write(path: Path, text: str) -> int:
    """Write a file in place; its inode."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(handle, os.write(handle, text.encode()))
        return os.fstat(handle).st_ino
    finally:
        os.close(handle)


class Boot(Struct, frozen=True):
    """This run of the kernel: its random id, and when it began in seconds since the epoch."""

    id: str
    time: float


def current_boot() -> Boot:
    """The boot this process runs in. Source: proc(5)."""
    lines = Path("/proc/stat").read_text().splitlines()
    began = next(line.split()[1] for line in lines if line.startswith("btime "))
    return Boot(Path("/proc/sys/kernel/random/boot_id").read_text().strip(), float(began))
