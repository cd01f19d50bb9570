"""Importing archives: of OCI and of docker, packed or not, and what is none."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import anyio
import pytest

from crishim.core.errors import CrishimError, InvalidArgumentError
from crishim.image.errors import ArchiveError, ContentError, LayerError, LimitError
from crishim.image.platform import Platform, host_platform
from crishim.image.types import Compression
from crishim.testing.images import Image, directory, file, image, index, tar, write_docker_archive, write_oci_archive
from tests.netns.image.lab import ImageLab, image_lab

pytestmark = pytest.mark.anyio

Write = Callable[[Path, Mapping[str, Image]], None]

BASE = [directory("bin"), file("bin/sh", b"#!", mode=0o755)]
ONE = image([BASE, [file("one")]], compression=Compression.NONE, Cmd=["/bin/sh"])
TWO = image([BASE, [file("two")]], compression=Compression.NONE)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[ImageLab]:
    async with image_lab(tmp_path / "images") as made:
        yield made


@pytest.mark.parametrize("write", [write_oci_archive, write_docker_archive])
@pytest.mark.parametrize("is_packed", [False, True])
async def test_two_images_that_share_a_layer(lab: ImageLab, tmp_path: Path, write: Write, *, is_packed: bool) -> None:
    archive = tmp_path / "archive.tar"
    write(archive, {"reg.io/one:1": ONE, "two": TWO})
    if is_packed:
        archive.write_bytes(gzip.compress(archive.read_bytes()))
    records = await lab.images.load(archive)
    assert [(record.id, record.repo_tags) for record in records] == [
        (ONE.id, ("reg.io/one:1",)),
        (TWO.id, ("docker.io/library/two:latest",)),
    ]
    root = await lab.images.root("reg.io/one:1")
    assert (Path(root.layers[1]) / "bin/sh").read_bytes() == b"#!"
    assert (root.config["Cmd"], len(lab.store.index.layers)) == (["/bin/sh"], 3)


async def test_a_name_for_an_archive_that_has_none(lab: ImageLab, tmp_path: Path) -> None:
    write_docker_archive(tmp_path / "a.tar", {"": ONE})
    (record,) = await lab.images.load(tmp_path / "a.tar", "busybox:test")
    assert record.repo_tags == ("docker.io/library/busybox:test",)


async def test_an_archive_for_several_platforms(lab: ImageLab, tmp_path: Path) -> None:
    both = index({Platform("s390x", "linux"): TWO, host_platform(): ONE})
    write_oci_archive(tmp_path / "a.tar", {"both:1": both})
    (record,) = await lab.images.load(tmp_path / "a.tar")
    assert record.id == ONE.id


@pytest.mark.parametrize("others", [(), (image([[file("foreign")]], platform=Platform("s390x", "linux")),)])
async def test_an_archive_that_does_not_tell_platforms(
    lab: ImageLab, tmp_path: Path, others: tuple[Image, ...]
) -> None:
    listed = index({}, *others, ONE)
    write_oci_archive(tmp_path / "a.tar", {"a:1": listed})
    (record,) = await lab.images.load(tmp_path / "a.tar")
    assert (record.id, set(record.documents)) == (ONE.id, {listed.digest, ONE.digest, ONE.id})


async def test_an_imported_image_is_the_pulled_one(lab: ImageLab, tmp_path: Path) -> None:
    await lab.images.pull(lab.registry.add("one", "1", ONE))
    write_oci_archive(tmp_path / "a.tar", {"imported:1": ONE})
    await lab.images.load(tmp_path / "a.tar")
    assert len(lab.images.list()) == 1
    await lab.images.remove("imported:1")
    assert lab.files() == []


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="needs skopeo")
@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
async def test_archives_that_skopeo_writes(lab: ImageLab, tmp_path: Path, kind: str) -> None:
    name = lab.registry.add("one", "1", image([BASE, [file("one")]]))
    source, target = f"docker://{name}", f"{kind}:{tmp_path / 'a.tar'}:reg.io/copied:1"
    command = ["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", source, target]
    await anyio.run_process(command)
    (record,) = await lab.images.load(tmp_path / "a.tar")
    assert record.repo_tags == ("reg.io/copied:1",)


def _without(path: Path, name: str) -> None:
    write_oci_archive(path, {"a:1": ONE})
    subprocess.run(["tar", "--delete", "-f", path, name], check=True)


BAD: dict[str, tuple[bytes | None, type[CrishimError], str]] = {
    "not there": (None, ArchiveError, "No such file"),
    "empty": (b"", ArchiveError, "neither index.json nor manifest.json"),
    "no tar": (b"x" * 5000, ArchiveError, "header"),
    "another tar": (tar([file("a")]), ArchiveError, "neither index.json nor manifest.json"),
    "garbage index": (tar([file("index.json", b"{")]), ArchiveError, "not valid"),
    "garbage manifest": (tar([file("manifest.json", b"[1]")]), ArchiveError, "manifest.json"),
    "deep manifest": (
        tar([file("manifest.json", b'[{"Config": "c", "Layers": [], "X": %s%s}]' % (20_000 * b"[", 20_000 * b"]"))]),
        ArchiveError,
        "manifest.json: not valid: maximum recursion depth",
    ),
    "missing members": (
        tar([file("manifest.json", json.dumps([{"Config": "c.json", "Layers": []}]).encode())]),
        ArchiveError,
        "no member 'c.json'",
    ),
    "traversal": (tar([file("../../x")]), ArchiveError, "leads out"),
    "cut short": (tar([file("index.json", b" " * 4000)])[:2000], ArchiveError, "ends"),
    "packed garbage": (gzip.compress(b"x" * 9000)[:-20], ContentError, "gzip"),
}


@pytest.mark.parametrize("case", BAD)
async def test_what_is_no_archive(lab: ImageLab, tmp_path: Path, case: str) -> None:
    content, error, message = BAD[case]
    if content is not None:
        (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(error, match=message):
        await lab.images.load(tmp_path / "a.tar")
    assert lab.files() == []


async def test_indexes_without_end(lab: ImageLab, tmp_path: Path) -> None:
    nested = ONE
    for _ in range(4):
        nested = index({host_platform(): nested})
    write_oci_archive(tmp_path / "a.tar", {"a:1": nested})
    with pytest.raises(ArchiveError, match="more than 4 indexes inside each other"):
        await lab.images.load(tmp_path / "a.tar")


async def test_a_device_is_no_archive(lab: ImageLab) -> None:
    with pytest.raises(ArchiveError, match="not a regular file"):
        await lab.images.load(Path("/dev/zero"))


async def test_a_blob_that_is_missing(lab: ImageLab, tmp_path: Path) -> None:
    _without(tmp_path / "a.tar", f"blobs/sha256/{ONE.layers[1].partition(':')[2]}")
    with pytest.raises(ArchiveError, match="no member"):
        await lab.images.load(tmp_path / "a.tar")
    await lab.store.collect(0)
    assert lab.files() == []


async def test_a_blob_that_is_another(lab: ImageLab, tmp_path: Path) -> None:
    wrong = {digest: bytes(len(blob)) if digest == ONE.layers[0] else blob for digest, blob in ONE.blobs.items()}
    write_oci_archive(tmp_path / "a.tar", {"a:1": Image(ONE.digest, ONE.media_type, wrong, ONE.manifest)})
    with pytest.raises(ContentError, match="has digest"):
        await lab.images.load(tmp_path / "a.tar")


async def test_a_hostile_layer(lab: ImageLab, tmp_path: Path) -> None:
    write_docker_archive(tmp_path / "a.tar", {"a:1": image([[file("../../x")]], compression=Compression.NONE)})
    with pytest.raises(LayerError, match="leads out"):
        await lab.images.load(tmp_path / "a.tar")


async def test_more_names_than_an_image_has(lab: ImageLab, tmp_path: Path) -> None:
    members = [file(600_000 * "n" + str(number)) for number in range(120)]
    (tmp_path / "a.tar").write_bytes(gzip.compress(tar(members), 1))
    with pytest.raises(LimitError, match="too many members"):
        await lab.images.load(tmp_path / "a.tar")


async def test_more_layers_than_an_image_may_have(lab: ImageLab, tmp_path: Path) -> None:
    listed = [{"Config": "c", "Layers": 501 * ["layer"]}]
    (tmp_path / "a.tar").write_bytes(tar([file("manifest.json", json.dumps(listed).encode()), file("c", b"{}")]))
    with pytest.raises(LimitError, match="501 layers"):
        await lab.images.load(tmp_path / "a.tar")


async def test_one_name_for_two_images(lab: ImageLab, tmp_path: Path) -> None:
    write_oci_archive(tmp_path / "a.tar", {"a:1": ONE, "b:1": TWO})
    with pytest.raises(InvalidArgumentError, match="2 images"):
        await lab.images.load(tmp_path / "a.tar", "c:1")
