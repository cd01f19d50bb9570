"""What the owners of a table of ours have, in files: one for each owner, in the directory of the table.

A process that changes one has the directory locked. It may know what is in them without looking: it has set the time
of the directory to a random one, and whatever another process does there, even half of it before being killed, puts
another time in its place. So what a pod costs does not grow with their number.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from cni_runtime import files
from cni_runtime.net.nftcommands import Element
from cni_runtime.net.remembered import Remembered

_SUFFIX = ".json"
_STAMP_BYTES = 7  # of nanoseconds since 1970: more than two years, all of them long ago


class Owner(Struct, frozen=True):
    """Whose elements they are: an interface of a container on a network."""

    network: str
    container_id: str
    ifname: str

    def __str__(self) -> str:
        return f"container {self.container_id} interface {self.ifname} network {self.network}"


class Holding(Struct, frozen=True):
    """The file of one owner. ``netns`` is the path of the namespace it lives in, empty: not known."""

    owner: Owner
    elements: tuple[Element, ...] = ()
    netns: str = ""

    def is_void(self) -> bool:
        """Whether the owner is gone for certain, having been detached by somebody who does not know this table."""
        return bool(self.netns) and not Path(self.netns).exists()


_Entries = dict[str, Holding | None]
"""By the file's name; None: there is nothing in it that could be read."""
_HOLDING = msgspec.json.Decoder(Holding)


class Holdings:
    """The files below one directory. Any number of threads and processes may call what says nothing of a lock."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, owner: Owner) -> Path:
        """The file of ``owner``."""
        text = "\0".join((owner.network, owner.container_id, owner.ifname))
        return self._directory / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}{_SUFFIX}"

    def of(self, owner: Owner) -> Holding | None:
        """What ``owner`` has."""
        return _read(self.path(owner))

    def all(self) -> tuple[Holding, ...]:
        """What each owner has."""
        return _readable(_LOOKED_AT.by_name(self._directory))

    def is_empty(self) -> bool:
        """Whether nobody has a file."""
        return next(self._names(), None) is None

    def is_only(self, owner: Owner) -> bool:
        """Whether nobody else has a file; for who has the directory locked. Raises OSError."""
        own, entries = self.path(owner).name, self._valid()
        return all(name == own for name in (self._names() if entries is None else entries))

    def known(self) -> tuple[Holding, ...]:
        """The same as ``all``, quickly; for who has the directory locked. Raises OSError."""
        entries = self._valid()
        if entries is None:
            entries = _LOOKED_AT.by_name(self._directory)
            self._keep(entries)
        return _readable(entries)

    def write(self, holding: Holding) -> None:
        """Make this what its owner has; for who has the directory locked. Raises OSError."""
        path = self.path(holding.owner)
        with self._changing() as entries:
            files.replace(path, msgspec.json.encode(holding))
            entries[path.name] = holding

    def remove(self, owner: Owner) -> None:
        """Forget ``owner``; for who has the directory locked. Raises OSError."""
        path = self.path(owner)
        with self._changing() as entries:
            files.remove(path)
            entries.pop(path.name, None)

    def write_other(self, name: str, data: bytes) -> None:
        """Write a file that is no owner's; for who has the directory locked. Raises OSError."""
        with self._changing():
            files.replace(self._directory / name, data)

    def _names(self) -> Iterator[str]:
        with suppress(FileNotFoundError), os.scandir(self._directory) as entries:
            yield from (entry.name for entry in entries if entry.name.endswith(_SUFFIX))

    @contextmanager
    def _changing(self) -> Iterator[_Entries]:
        """The entries, to be changed after the files; they are kept if all were known before."""
        entries = self._valid()
        yield {} if entries is None else entries
        if entries is not None:
            self._keep(entries)

    def _valid(self) -> _Entries | None:
        """The entries that are kept, if nobody else has changed anything."""
        stamp, entries = _KEPT.get(str(self._directory), (0, {}))
        return entries if stamp and self._directory.stat().st_mtime_ns == stamp else None

    def _keep(self, entries: _Entries) -> None:
        stamp = int.from_bytes(os.urandom(_STAMP_BYTES))
        os.utime(self._directory, ns=(stamp, stamp))
        # Not ``stamp``: a file system may keep less of it.
        _KEPT[str(self._directory)] = self._directory.stat().st_mtime_ns, entries


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other threads and processes that do this out. The directory is made when it is not there.

    It is root's alone, since whoever can open it can have the lock, and keep it.
    """
    if not directory.is_dir():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if os.fstat(handle).st_mode & 0o077:  # made by an earlier version
            os.fchmod(handle, 0o700)
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _read(path: Path) -> Holding | None:
    try:
        return _HOLDING.decode(path.read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _readable(entries: _Entries) -> tuple[Holding, ...]:
    return tuple(holding for holding in entries.values() if holding is not None)


_LOOKED_AT = Remembered(_SUFFIX, _read)
_KEPT: dict[str, tuple[int, _Entries]] = {}  # by directory, with the time that was left on it
