"""SIGKILL in the middle of pulls and removals: what is visible afterwards is whole, nothing is left without owner."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from crishim.core.clock import boot_id
from crishim.core.tasks import TaskOwner
from crishim.drivers.filesystems import FileSystemDriver
from crishim.drivers.image_database import ImageDatabase
from crishim.image.digest import Digest, check
from crishim.image.faultpoints import ImageFault
from crishim.image.platform import host_platform
from crishim.image.registries import open_registries
from crishim.image.service import Images
from crishim.image.settings import ImageSettings
from crishim.image.store.recover import open_store
from crishim.image.store.store import ImageStore
from crishim.testing.images import Image, Member, directory, file, image
from crishim.testing.registry import FakeRegistry
from tests.netns.image.lab import look

pytestmark = pytest.mark.anyio

REPOSITORY = Path(__file__).resolve().parents[3]
KILLS = 50


def _content(number: int) -> bytes:
    return random.Random(number).randbytes(20_000)


def _layer(number: int) -> list[Member]:
    return [directory(f"d{number}"), *(file(f"d{number}/{part}", _content(number * 100 + part)) for part in range(60))]


SHARED = _layer(0)
IMAGES: dict[str, Image] = {
    name: image([SHARED, *(_layer(number) for number in numbers)])
    for name, numbers in {"one": (1, 2), "two": (1, 3, 4), "three": (5,)}.items()
}


class Crash:
    """A store that is crashed again and again, and the registry it pulls from."""

    def __init__(self, root: Path, registry: FakeRegistry) -> None:
        self.root, self.registry = root, registry
        self.names = [registry.add(name, "1", built) for name, built in IMAGES.items()]
        self.trees: dict[str, dict[str, tuple[str, str]]] = {}

    async def run(self, *, fault: str = "", seconds: float | None = None) -> None:
        """Let the process work until it reaches ``fault``, or for ``seconds``, then it is gone."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.netns.image.crasher", str(self.root), *self.names),
            cwd=REPOSITORY,
            env={**os.environ, "CNI_RUNTIME_FAULT": fault and f"{fault}:kill"},
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"begun\n"
        if seconds is not None:
            await asyncio.sleep(seconds)
            process.kill()
        async with asyncio.timeout(20):
            await process.communicate()
        assert process.returncode == -9

    async def examine(self) -> None:
        """What the next server sees is whole; what it pulls is right; the garbage collector leaves nothing over."""
        async with self._opened() as (images, store):
            for layer in store.index.layers.values():
                self._same_tree(layer.chain_id, store.layers.path(layer.number))
            for digest in store.blobs.sizes:
                check(store.blobs.path(digest).read_bytes(), digest)
            for record in images.list():
                assert store.index.is_whole(record.chain)
            await store.collect(0)
            self._nothing_over(store)
            await images.pull(random.choice(self.names))
            self._nothing_over(store)

    def _same_tree(self, chain_id: str, path: Path) -> None:
        """A layer looks the same whenever it is there."""
        tree = {name: (seen.kind, seen.content) for name, seen in look(path).items()}
        assert self.trees.setdefault(chain_id, tree) == tree
        assert len(tree) == 62

    def _nothing_over(self, store: ImageStore) -> None:
        numbers = {str(layer.number) for layer in store.index.layers.values()}
        assert {path.name for path in (self.root / "layers").iterdir()} == numbers
        assert set(store.index.layers) == store.index.chains_in_use()
        on_disk = {Digest(f"sha256:{path.name}") for path in (self.root / "blobs/sha256").iterdir()}
        assert on_disk == set(store.blobs.sizes) == store.index.blobs_in_use()
        assert [path for name in ("ingest", "staging", "trash") for path in (self.root / name).iterdir()] == []

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[tuple[Images, ImageStore]]:
        records, owner = await ImageDatabase.open(self.root / "images.db"), TaskOwner()
        store = await open_store(self.root, records, FileSystemDriver(), boot_id())
        async with aclosing(open_registries()) as registries:
            settings = ImageSettings(root=self.root)
            images = Images(store, settings, registries, owner, host_platform(), self.root / "none")
            yield images, store
            await owner.aclose()
        await records.close()


@pytest.fixture
async def crash(tmp_path: Path) -> AsyncIterator[Crash]:
    async with FakeRegistry().serving() as registry:
        yield Crash(tmp_path / "images", registry)


@pytest.mark.parametrize("fault", list(ImageFault))
async def test_killed_at_every_step(crash: Crash, fault: ImageFault) -> None:
    await crash.run(fault=fault)
    await crash.examine()


@pytest.mark.timeout(300)
async def test_killed_at_random_points(crash: Crash) -> None:
    for _ in range(KILLS):
        await crash.run(seconds=random.uniform(0.0, 0.6))
        await crash.examine()
    assert len(crash.trees) >= 3
