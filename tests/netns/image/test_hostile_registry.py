"""Registries and images that lie, end to end: a clear error, nothing outside the store, the disk given back."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web

from crishim.core.errors import CrishimError, DeadlineError
from crishim.image.digest import Digest, digest_of
from crishim.image.errors import ContentError, LayerError, LimitError, RegistryError, StorageError
from crishim.image.settings import Limits
from crishim.image.types import MediaType
from crishim.testing.images import Image, file, from_manifest, image, symlink, tar, write_oci_archive
from crishim.testing.registry import FakeRegistry
from tests.netns.image.lab import ImageLab, image_lab

pytestmark = pytest.mark.anyio

GOOD = image([[file("a", b"a" * 1000)]])
LAYER = GOOD.layers[0]
BOMB_OF_ZEROS = image(4 * [tar([]) + bytes(1 << 20)])
BOMB = image([[file(str(number), bytes(1 << 20)) for number in range(32)]])


@dataclass
class Case:
    """What is served, and what must come of it."""

    image: Image
    error: type[CrishimError]
    message: str
    prepare: Callable[[FakeRegistry], None] = lambda registry: None
    settings: dict[str, Any] = field(default_factory=dict)


def _changed(**changes: Any) -> Image:
    """GOOD with another manifest."""
    return from_manifest({**GOOD.manifest, **changes}, GOOD.blobs.values())


def _layer(**changes: Any) -> Image:
    """GOOD with another descriptor of its layer."""
    return _changed(layers=[{**GOOD.manifest["layers"][0], **changes}])


def _config(document: bytes) -> Image:
    descriptor = {"mediaType": MediaType.OCI_CONFIG, "digest": digest_of(document), "size": len(document)}
    return from_manifest({**GOOD.manifest, "config": descriptor}, [*GOOD.blobs.values(), document])


def _serve(digest: Digest, content: bytes) -> Callable[[FakeRegistry], None]:
    def prepare(registry: FakeRegistry) -> None:
        registry.blobs[digest] = content

    return prepare


def _answer(part: str, make: Callable[[web.Request], web.Response]) -> Callable[[FakeRegistry], None]:
    def prepare(registry: FakeRegistry) -> None:
        async def fault(request: web.Request) -> web.StreamResponse | None:
            return make(request) if part in request.path else None

        registry.fault = fault

    return prepare


def _other_diff_ids() -> bytes:
    return json.dumps({"rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}}).encode()


def _garbage(request: web.Request) -> web.Response:
    return web.Response(body=b"<html>login please</html>", content_type="text/html")


CASES = {
    "wrong digest": Case(GOOD, ContentError, "has digest", _serve(LAYER, bytes(len(GOOD.blobs[LAYER])))),
    "short layer": Case(GOOD, ContentError, "announces 10 bytes", _serve(LAYER, bytes(10))),
    "long layer": Case(GOOD, ContentError, "announces 5000 bytes", _serve(LAYER, bytes(5000))),
    "wrong size": Case(_layer(size=5), ContentError, "announces"),
    "negative size": Case(_layer(size=-5), ContentError, "negative"),
    "giant size": Case(_layer(size=1 << 50), LimitError, "bytes to download"),
    "not a digest": Case(_layer(digest="sha256:../../../etc/passwd"), CrishimError, "digest"),
    "wrong diff id": Case(_config(_other_diff_ids()), ContentError, "unpacks to"),
    "too few diff ids": Case(_config(b'{"rootfs":{"type":"layers","diff_ids":[]}}'), ContentError, "0 diff ids"),
    "garbage config": Case(_config(b"\xff\xfe"), ContentError, "not valid"),
    "giant config": Case(
        _config(b"{}" + b" " * 5000),
        LimitError,
        "more than allowed",
        settings={"limits": Limits(max_document_bytes=4096)},
    ),
    "garbage manifest": Case(GOOD, ContentError, "not valid", _answer("manifests", _garbage)),
    "artifact": Case(_changed(config={**GOOD.manifest["config"], "mediaType": "x/y"}), ContentError, "artifact"),
    "foreign layer": Case(_layer(mediaType=MediaType.DOCKER_FOREIGN + ".gzip"), ContentError, "foreign"),
    "manifest and index": Case(_changed(manifests=[]), ContentError, "neither a manifest nor an index"),
    "too many layers": Case(
        _changed(layers=[*GOOD.manifest["layers"]] * 9),
        LimitError,
        "9 layers",
        settings={"limits": Limits(max_layers=8)},
    ),
    "bomb": Case(BOMB, LimitError, "unpacks to more", settings={"limits": Limits(max_unpacked_bytes=1 << 20)}),
    "bomb of two layers": Case(
        image([[file("a", bytes(1 << 19))], [file("b", bytes(1 << 19))]]),
        LimitError,
        "unpacks to more",
        settings={"limits": Limits(max_unpacked_bytes=(1 << 19) + 20480)},
    ),
    "many files": Case(BOMB, LimitError, "entries", settings={"limits": Limits(max_entries=5)}),
    "traversal": Case(image([[file("../../../../escape", b"!")]]), LayerError, "leads out"),
    "symlink loop": Case(image([[symlink("a", "b"), symlink("b", "a"), file("a/x")]]), LayerError, "too many levels"),
    "no tar": Case(image([b"not a tar stream at all" * 100]), LayerError, "header"),
    "truncated tar": Case(image([tar([file("a", b"x" * 9000)])[:5000]]), LayerError, "ends in the middle"),
    "truncated gzip": Case(
        _layer(digest=digest_of(GOOD.blobs[LAYER][:-8]), size=len(GOOD.blobs[LAYER]) - 8),
        ContentError,
        "too early",
        _serve(digest_of(GOOD.blobs[LAYER][:-8]), GOOD.blobs[LAYER][:-8]),
    ),
    "redirect out of the web": Case(
        GOOD, RegistryError, "not a web address", _answer("blobs", lambda _: _redirect("file:///etc/passwd"))
    ),
    "redirect loop": Case(GOOD, RegistryError, "redirects", _answer("blobs", lambda request: _redirect(request.path))),
}


def _redirect(target: str) -> web.Response:
    return web.Response(status=307, headers={"Location": target})


@pytest.mark.parametrize("name", CASES)
async def test_it_is_refused_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    async with image_lab(tmp_path / "store" / "images", **case.settings) as lab:
        reference = lab.registry.add("app", "1", case.image)
        case.prepare(lab.registry)
        with pytest.raises(case.error, match=case.message):
            await lab.images.pull(reference)
        await _nothing_left(lab, tmp_path)


async def _nothing_left(lab: ImageLab, directory: Path) -> None:
    """Verified blobs may stay until the garbage collector comes; nothing half made, nothing elsewhere."""
    assert lab.images.list() == []
    await lab.store.collect(0)
    assert lab.files() == []
    assert os.listdir(directory) == ["store"]  # noqa: PTH208 - an async function does not walk paths


async def test_zeros_that_make_no_files_count_also_when_they_were_unpacked_before(tmp_path: Path) -> None:
    async with image_lab(tmp_path / "images", limits=Limits(max_unpacked_bytes=5 << 19)) as lab:
        name = lab.registry.add("app", "1", BOMB_OF_ZEROS)
        for _ in range(2):
            with pytest.raises(LimitError, match="unpacks to more"):
                await lab.images.pull(name)


async def test_zeros_in_an_archive(tmp_path: Path) -> None:
    write_oci_archive(tmp_path / "a.tar", {"a:1": BOMB_OF_ZEROS})
    async with image_lab(tmp_path / "images", limits=Limits(max_unpacked_bytes=5 << 19)) as lab:
        with pytest.raises(LimitError, match="unpacks to more"):
            await lab.images.load(tmp_path / "a.tar")


async def test_zeros_that_would_be_unpacked_again(tmp_path: Path) -> None:
    async with image_lab(tmp_path / "images") as lab:
        await lab.images.pull(lab.registry.add("app", "1", BOMB_OF_ZEROS))
    lab.records.layers.clear()
    limits = Limits(max_unpacked_bytes=5 << 19)
    async with image_lab(tmp_path / "images", records=lab.records, limits=limits) as again:
        assert again.images.list() == []


async def test_a_slow_loris_runs_into_the_time_out(tmp_path: Path) -> None:
    async def fault(request: web.Request) -> web.StreamResponse | None:
        if LAYER not in request.path:
            return None
        response = web.StreamResponse(headers={"Content-Length": str(len(GOOD.blobs[LAYER]))})
        await response.prepare(request)
        for byte in GOOD.blobs[LAYER]:
            await response.write(bytes([byte]))
            await asyncio.sleep(0.05)
        return response

    async with image_lab(tmp_path / "images", progress_timeout=2) as lab:
        lab.registry.fault = fault
        with pytest.raises(DeadlineError, match=f"no progress for 2 s while waiting for: {LAYER}"):
            await lab.images.pull(lab.registry.add("app", "1", GOOD))
        await lab.store.collect(0)
        assert lab.files() == []


async def test_a_manifest_that_trickles_runs_into_the_time_out(tmp_path: Path) -> None:
    async def fault(request: web.Request) -> web.StreamResponse | None:
        await asyncio.sleep(30)
        return None

    async with image_lab(tmp_path / "images", progress_timeout=0.3) as lab:
        lab.registry.fault = fault
        with pytest.raises(DeadlineError, match="while waiting for: resolving"):
            await lab.images.pull(lab.registry.add("app", "1", GOOD))


@pytest.mark.parametrize("megabytes", [1, 3])
async def test_a_full_disk_is_told_and_given_back(tmp_path: Path, megabytes: int) -> None:
    """One megabyte does not hold the packed layer, three hold that but not the unpacked one."""
    await anyio.run_process(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(tmp_path)])
    layer = random.Random(1).randbytes(2 << 20)
    async with image_lab(tmp_path / "images") as lab:
        with pytest.raises(StorageError, match="No space left on device"):
            await lab.images.pull(lab.registry.add("app", "1", image([[file("a", layer)]])))
        await lab.store.collect(0)
        assert lab.files() == []


@pytest.fixture
async def mirror() -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry().serving() as registry:
        yield registry


async def test_a_mirror_that_lies_does_not_spoil_the_pull(tmp_path: Path, mirror: FakeRegistry) -> None:
    async with image_lab(tmp_path / "images", config_path=(tmp_path / "certs.d",)) as lab:
        directory = tmp_path / "certs.d/reg.test"
        directory.mkdir(parents=True)
        hosts = f'server = "http://{lab.registry.host}"\n[host."http://{mirror.host}"]\n'
        (directory / "hosts.toml").write_text(hosts)
        lab.registry.add("app", "1", GOOD)
        mirror.add("app", "1", GOOD)
        mirror.blobs[LAYER] = bytes(len(GOOD.blobs[LAYER]))
        assert await lab.images.pull("reg.test/app:1") == GOOD.id
        assert (mirror.count("GET", LAYER), lab.registry.count("GET", LAYER)) == (1, 1)


@pytest.mark.parametrize("image", [GOOD, _layer(size=5)], ids=["right size", "wrong size"])
async def test_a_registry_that_keeps_a_layer_back_holds_up_no_other(
    tmp_path: Path, mirror: FakeRegistry, image: Image
) -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def fault(request: web.Request) -> web.StreamResponse | None:
        if LAYER in request.path:
            asked.set()
            await release.wait()
            return web.Response(status=404)
        return None

    mirror.fault = fault
    async with image_lab(tmp_path / "images") as lab, asyncio.timeout(10):
        bad = asyncio.create_task(lab.images.pull(mirror.add("bad", "1", image)))
        await asked.wait()
        assert await lab.images.pull(lab.registry.add("app", "1", GOOD)) == GOOD.id
        release.set()
        with pytest.raises(CrishimError, match="404"):
            await bad
