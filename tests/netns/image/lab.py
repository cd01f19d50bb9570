"""What the image tests share: unpacking layers, joining them as a container sees them, and looking at the result."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from crishim.core.tasks import TaskOwner
from crishim.drivers.mounts import unmount_all
from crishim.drivers.overlay import mount_overlay
from crishim.image.platform import host_platform
from crishim.image.registries import HttpRegistries
from crishim.image.registry.retry import Backoff
from crishim.image.registry.transport import Transport
from crishim.image.service import Images
from crishim.image.settings import ImageSettings, Limits
from crishim.image.store.recover import open_store
from crishim.image.store.store import ImageStore
from crishim.image.unpack.unpacker import Unpacked, unpack_layer
from crishim.testing.image_store import MemoryImageRecords, NoSync
from crishim.testing.images import Member, tar
from crishim.testing.registry import FakeRegistry

DEFAULTS = Limits()


def unpack(
    root: Path, layer: bytes | Iterable[Member], lower: Sequence[Path] = (), limits: Limits = DEFAULTS
) -> Unpacked:
    """Unpack one layer into ``root``, which is made."""
    blob = root.with_name(f"{root.name}.blob")
    blob.write_bytes(layer if isinstance(layer, bytes) else tar(layer))
    root.mkdir()
    return unpack_layer(blob, root, lower, limits, threading.Event())


def unpack_all(directory: Path, layers: Sequence[bytes | Iterable[Member]]) -> list[Path]:
    """Unpack layers, the lowest first; their directories, topmost first."""
    made: list[Path] = []
    for number, layer in enumerate(layers):
        root = directory / f"layer{number}"
        unpack(root, layer, made)
        made.insert(0, root)
    return made


@contextmanager
def joined(directory: Path, layers: Sequence[Path]) -> Iterator[Path]:
    """The layers as one tree, as a container sees them."""
    target, empty = directory / "joined", directory / "empty"
    for path in (target, empty):
        path.mkdir()
    thread = threading.Thread(target=mount_overlay, args=(target, [*map(str, layers), str(empty)]))
    thread.start()
    thread.join()
    assert target.is_mount()
    try:
        yield target
    finally:
        unmount_all(str(target))


@dataclass(frozen=True)
class Seen:
    """All that matters of one file."""

    kind: str
    mode: int
    owner: tuple[int, int]
    mtime: int
    device: int
    links: int
    content: str
    xattrs: Mapping[str, bytes]


def look(root: Path, *, ignored_xattrs: Sequence[str] = ()) -> dict[str, Seen]:
    """Every file under ``root`` by its path; the root itself is '.'."""
    paths = [root, *(Path(base) / name for base, dirs, files in os.walk(root) for name in (*dirs, *files))]
    return {str(path.relative_to(root)): _look_at(path, ignored_xattrs) for path in paths}


def _look_at(path: Path, ignored: Sequence[str]) -> Seen:
    status = path.lstat()
    is_directory = stat.S_ISDIR(status.st_mode)
    names = [name for name in os.listxattr(path, follow_symlinks=False) if not name.startswith(tuple(ignored) or "\0")]
    return Seen(
        kind=stat.filemode(status.st_mode)[0],
        mode=stat.S_IMODE(status.st_mode),
        owner=(status.st_uid, status.st_gid),
        mtime=int(status.st_mtime),
        device=status.st_rdev,
        links=1 if is_directory else status.st_nlink,
        content=_content(path, status),
        xattrs={name: os.getxattr(path, name, follow_symlinks=False) for name in names},
    )


def _content(path: Path, status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return str(path.readlink())
    return hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else ""


@dataclass(frozen=True)
class ImageLab:
    """A whole image service on a registry in memory."""

    images: Images
    store: ImageStore
    registry: FakeRegistry
    records: MemoryImageRecords
    disk: NoSync
    root: Path

    def files(self) -> list[str]:
        """Every file of the store, but the empty frame of directories."""
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if not path.is_dir())


@asynccontextmanager
async def image_lab(
    root: Path, *, records: MemoryImageRecords | None = None, registry: FakeRegistry | None = None, **settings: object
) -> AsyncIterator[ImageLab]:
    """Opened like the server opens it; with the same ``root`` and ``records`` it is a restart."""
    records, disk = records or MemoryImageRecords(), NoSync()
    owner = TaskOwner()
    async with (registry or FakeRegistry()).serving() as serving, aclosing(Transport(read_timeout=2.0)) as transport:
        backoff = Backoff(attempts=3, first=0.001)
        chosen = ImageSettings(root=root, **settings)  # type: ignore[arg-type]
        store = await open_store(root, records, disk, "this boot", chosen.pinned)
        registries = HttpRegistries(transport, backoff)
        images = Images(store, chosen, registries, owner, host_platform(), root / "none")
        await images.start()
        try:
            yield ImageLab(images, store, serving, records, disk, root)
        finally:
            await owner.aclose()


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for something that nobody tells."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)
