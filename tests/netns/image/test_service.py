"""The ImageService from end to end, on a registry in memory: pulling, names, removal, holds, recovery."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from crishim.core.errors import CrishimError, DeadlineError, NotFoundError, UnavailableError
from crishim.image.credentials import RequestAuth
from crishim.image.errors import UnauthenticatedError
from crishim.image.platform import Platform, host_platform
from crishim.image.types import Compression
from crishim.testing.cni import Gate
from crishim.testing.images import Image, directory, file, from_manifest, image, index
from crishim.testing.registry import FakeRegistry
from tests.netns.image.lab import ImageLab, image_lab, until

pytestmark = pytest.mark.anyio

BASE = [directory("bin"), file("bin/sh", b"#!", mode=0o755)]
APP = image([BASE, [file("app", b"app" * 1000)]], Cmd=["/app"], User="7")
SAME_BASE = image([BASE, [file("other", b"other")]])


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[ImageLab]:
    async with image_lab(tmp_path / "images") as made:
        yield made


@pytest.mark.parametrize("compression", list(Compression))
async def test_a_pull(lab: ImageLab, compression: Compression) -> None:
    built = image([BASE, [file("app")]], compression=compression)
    name = lab.registry.add("app", "1", built)
    assert await lab.images.pull(name) == built.id
    (found,) = lab.images.list()
    assert (found.repo_tags, found.repo_digests) == ((name,), (f"{lab.registry.host}/app@{built.digest}",))
    root = await lab.images.root(name)
    assert [(Path(layer) / "bin/sh").exists() for layer in root.layers] == [False, True]
    assert found.size == len(built.body) + sum(len(built.blobs[blob]) for blob in (built.id, *built.layers))


async def test_docker_media_types(lab: ImageLab) -> None:
    built = image([BASE], is_docker=True)
    assert await lab.images.pull(lab.registry.add("app", "1", built)) == built.id


async def test_an_index_gives_the_image_for_this_machine(lab: ImageLab) -> None:
    other = image([[file("foreign")]], platform=Platform("s390x", "linux"))
    both = index({Platform("s390x", "linux"): other, host_platform(): APP})
    assert await lab.images.pull(lab.registry.add("app", "1", both)) == APP.id
    assert lab.images.list()[0].repo_digests == (f"{lab.registry.host}/app@{both.digest}",)
    assert lab.registry.count("GET", other.digest) == 0


FOREIGN = image([[file("foreign")]], platform=Platform("s390x", "linux"))
ARTIFACT = from_manifest({**APP.manifest, "config": {**APP.manifest["config"], "mediaType": "x/y"}}, ())


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (index({}, FOREIGN), FOREIGN),  # the only one
        (index({}, ARTIFACT, FOREIGN, APP), APP),
        (index({Platform("s390x", "linux"): FOREIGN}, APP), APP),
        (index({host_platform(): APP}, SAME_BASE), APP),
    ],
    ids=["alone", "several", "beside a foreign one", "beside the right one"],
)
async def test_images_whose_platform_the_index_does_not_tell(lab: ImageLab, listed: Image, expected: Image) -> None:
    assert await lab.images.pull(lab.registry.add("app", "1", listed)) == expected.id
    (found,) = lab.images.list()
    assert sorted(found.documents) == sorted([listed.digest, expected.digest, expected.id])


async def test_no_image_for_this_machine(lab: ImageLab) -> None:
    name = lab.registry.add("app", "1", index({Platform("s390x", "linux"): APP}, FOREIGN))
    offered = r"no image for linux/.*it offers something without platform, linux/s390x"
    with pytest.raises(NotFoundError, match=offered):
        await lab.images.pull(name)


async def test_by_digest(lab: ImageLab) -> None:
    lab.registry.add("app", "1", APP)
    name = f"{lab.registry.host}/app@{APP.digest}"
    await lab.images.pull(f"{lab.registry.host}/app:ignored@{APP.digest}")
    (found,) = lab.images.list()
    assert (found.repo_tags, found.repo_digests) == ((), (name,))
    assert lab.images.find(name) == found


@pytest.mark.parametrize("auth", [None, RequestAuth(username="u", password="wrong")])
async def test_a_digest_that_is_there_is_for_those_only_who_may_have_it(
    lab: ImageLab, auth: RequestAuth | None
) -> None:
    lab.registry.add("app", "1", APP)
    lab.registry.basic = ("u", "p")
    name, right = f"{lab.registry.host}/app@{APP.digest}", RequestAuth(username="u", password="p")
    await lab.images.pull(name, right)
    with pytest.raises(UnauthenticatedError):
        await lab.images.pull(name, auth)
    lab.registry.requests.clear()
    assert await lab.images.pull(name, right) == APP.id
    assert [method for method, _ in lab.registry.requests] == ["HEAD", "HEAD"]


async def test_a_digest_that_is_there_is_in_no_repository_that_does_not_have_it(lab: ImageLab) -> None:
    await lab.images.pull(lab.registry.add("app", "1", APP))
    async with FakeRegistry().serving() as other:
        with pytest.raises(CrishimError, match="404"):
            await lab.images.pull(f"{other.host}/app@{APP.digest}")
    assert lab.images.list()[0].repo_digests == (f"{lab.registry.host}/app@{APP.digest}",)


async def test_the_same_image_by_two_names_is_one(lab: ImageLab) -> None:
    names = [lab.registry.add("a", "1", APP), lab.registry.add("b", "2", APP)]
    assert {await lab.images.pull(name) for name in names} == {APP.id}
    (found,) = lab.images.list()
    assert (list(found.repo_tags), len(found.repo_digests)) == (names, 2)


async def test_a_tag_that_moved(lab: ImageLab) -> None:
    name = lab.registry.add("app", "1", APP)
    await lab.images.pull(name)
    lab.registry.add("app", "1", SAME_BASE)
    assert await lab.images.pull(name) == SAME_BASE.id
    tags = {found.id: found.repo_tags for found in lab.images.list()}
    assert tags == {APP.id: (), SAME_BASE.id: (name,)}


@pytest.mark.parametrize("length", [7, 12, 64, 71])
async def test_ids_and_beginnings_of_ids(lab: ImageLab, length: int) -> None:
    await lab.images.pull(lab.registry.add("app", "1", APP))
    text = APP.id if length == 71 else APP.id.removeprefix("sha256:")[:length]
    found = lab.images.find(text)
    assert found is not None
    assert found.id == APP.id


async def test_what_is_not_there(lab: ImageLab) -> None:
    assert lab.images.find("sha256:" + "0" * 64) is None
    assert lab.images.list("nothing") == []
    assert lab.images.find("a//b") is None
    with pytest.raises(NotFoundError):
        await lab.images.root("nothing")


async def test_a_warm_pull_asks_once(lab: ImageLab) -> None:
    name = lab.registry.add("app", "1", APP)
    await lab.images.pull(name)
    lab.registry.requests.clear()
    await lab.images.pull(name)
    assert [method for method, _ in lab.registry.requests] == ["HEAD"]


async def test_layers_that_are_there_are_not_downloaded(lab: ImageLab) -> None:
    await lab.images.pull(lab.registry.add("app", "1", APP))
    lab.registry.requests.clear()
    await lab.images.pull(lab.registry.add("other", "1", SAME_BASE))
    assert lab.registry.count("GET", APP.layers[0]) == 0
    assert len(lab.store.index.layers) == 3


async def test_pulls_of_one_name_join(lab: ImageLab) -> None:
    name = lab.registry.add("app", "1", APP)
    ids = await asyncio.gather(*(lab.images.pull(name) for _ in range(5)))
    assert (set(ids), lab.registry.count("HEAD", "manifests")) == ({APP.id}, 1)


def _together(lab: ImageLab, digest: str, count: int) -> None:
    """Answer no request for ``digest`` before there are ``count`` of them."""
    barrier = asyncio.Barrier(count)

    async def fault(request: web.Request) -> web.StreamResponse | None:
        if digest in request.path:
            await barrier.wait()
        return None

    lab.registry.fault = fault


@pytest.mark.parametrize(("repository", "requests"), [("app", 1), ("other", 2)])
async def test_pulls_that_share_a_layer_and_its_source_download_it_once(
    lab: ImageLab, repository: str, requests: int
) -> None:
    names = [lab.registry.add("app", "1", APP), lab.registry.add(repository, "2", SAME_BASE)]
    _together(lab, APP.layers[0], requests)
    await asyncio.gather(*(lab.images.pull(name) for name in names))
    assert lab.registry.count("GET", APP.layers[0]) == requests


async def test_pulls_with_other_credentials_download_by_themselves(lab: ImageLab) -> None:
    name = lab.registry.add("app", "1", APP)
    _together(lab, APP.layers[0], 2)
    await asyncio.gather(lab.images.pull(name), lab.images.pull(name, RequestAuth(username="u", password="p")))
    assert lab.registry.count("GET", APP.layers[0]) == 2


async def test_removal_gives_everything_back(lab: ImageLab) -> None:
    name = lab.registry.add("app", "1", APP)
    await lab.images.pull(name)
    await lab.images.remove(name)
    assert (lab.images.list(), lab.files()) == ([], [])
    images, _ = await lab.images.usage()
    assert (images.used_bytes, images.inodes_used) == (0, 0)
    await lab.images.remove(name)


@pytest.mark.parametrize("by", ["tag", "other tag", "digest", "id", "short id"])
async def test_removal_by_any_name_removes_the_whole_image(lab: ImageLab, by: str) -> None:
    tag, other = lab.registry.add("a", "1", APP), lab.registry.add("b", "1", APP)
    for name in (tag, other):
        await lab.images.pull(name)
    names = {"tag": tag, "other tag": other, "digest": f"{lab.registry.host}/a@{APP.digest}"}
    await lab.images.remove(names.get(by, APP.id if by == "id" else APP.id[7:19]))
    assert lab.images.list() == []


async def test_removal_keeps_what_another_image_needs(lab: ImageLab) -> None:
    first, second = lab.registry.add("a", "1", APP), lab.registry.add("b", "1", SAME_BASE)
    await lab.images.pull(first)
    await lab.images.pull(second)
    await lab.images.remove(first)
    root = await lab.images.root(second)
    assert (Path(root.layers[1]) / "bin/sh").read_bytes() == b"#!"
    assert len(lab.store.index.layers) == 2


async def test_five_removals_at_once(lab: ImageLab) -> None:
    await lab.images.pull(lab.registry.add("app", "1", APP))
    await asyncio.gather(*(lab.images.remove(APP.id) for _ in range(5)))
    assert lab.files() == []


async def test_layers_of_a_container_outlive_the_image(lab: ImageLab) -> None:
    await lab.images.pull(lab.registry.add("app", "1", APP))
    root = await lab.images.root(APP.id)
    await lab.images.hold(APP.id, "container")
    await lab.images.hold(APP.id, "container")
    await lab.images.remove(APP.id)
    assert (Path(root.layers[0]) / "app").exists()
    await lab.images.release("container")
    assert lab.files() == []
    await lab.images.release("container")


async def test_pulling_again_what_a_container_holds_unpacks_nothing(lab: ImageLab) -> None:
    name = lab.registry.add("app", "1", APP)
    await lab.images.pull(name)
    await lab.images.hold(APP.id, "container")
    await lab.images.remove(name)
    lab.registry.requests.clear()
    await lab.images.pull(name)
    assert lab.registry.count("GET", APP.layers[1]) == 0


async def test_pinned_images(tmp_path: Path) -> None:
    async with image_lab(tmp_path / "images") as plain:
        name = plain.registry.add("pause", "1", APP)
        await plain.images.pull(name)
        assert not plain.images.list()[0].pinned
    for pinned in ((name,), ()):
        async with image_lab(tmp_path / "images", records=plain.records, pinned=pinned) as lab:
            assert lab.images.list()[0].pinned is bool(pinned)


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    async with image_lab(tmp_path / "images") as lab:
        await lab.images.pull(lab.registry.add("app", "1", APP))
        await lab.images.hold(APP.id, "container")
        await lab.images.write_hold("container")
        before = lab.images.list()
    async with image_lab(tmp_path / "images", records=lab.records) as again:
        assert (again.images.list(), again.store.usage()) == (before, lab.store.usage())
        await again.images.remove(APP.id)
        assert len(again.store.index.layers) == 2


async def test_after_a_loss_of_power_layers_are_unpacked_again(tmp_path: Path) -> None:
    async with image_lab(tmp_path / "images") as lab:
        await lab.images.pull(lab.registry.add("app", "1", APP))
        await asyncio.sleep(0.05)
    for key, layer in lab.records.layers.items():
        lab.records.layers[key] = msgspec.structs.replace(layer, boot_id="before", synced=False)
    async with image_lab(tmp_path / "images", records=lab.records) as again:
        root = await again.images.root(APP.id)
        assert (Path(root.layers[0]) / "app").read_bytes() == b"app" * 1000
        assert again.registry.requests == []


async def test_an_image_that_cannot_be_made_whole_is_forgotten(tmp_path: Path) -> None:
    async with image_lab(tmp_path / "images") as lab:
        await lab.images.pull(lab.registry.add("app", "1", APP))
    lab.records.layers.clear()
    lab.store.blobs.path(APP.layers[0]).unlink()
    async with image_lab(tmp_path / "images", records=lab.records) as again:
        assert (again.images.list(), again.files()) == ([], [])


@pytest.mark.parametrize("document", ["index", "manifest", "configuration"])
async def test_an_image_whose_removal_was_undone_by_a_loss_of_power_is_forgotten(tmp_path: Path, document: str) -> None:
    listed = index({host_platform(): APP})
    gone = {"index": listed.digest, "manifest": APP.digest, "configuration": APP.id}[document]
    async with image_lab(tmp_path / "images") as lab:
        await lab.images.pull(lab.registry.add("app", "1", listed))
        await lab.images.pull(lab.registry.add("other", "1", SAME_BASE))
    lab.store.blobs.path(gone).unlink()
    async with image_lab(tmp_path / "images", records=lab.records) as again:
        assert [found.id for found in again.images.list()] == [SAME_BASE.id]


async def test_packed_layers_can_be_given_back(tmp_path: Path) -> None:
    async with image_lab(tmp_path / "images", discard_unpacked_layers=True) as lab:
        name = lab.registry.add("app", "1", APP)
        await lab.images.pull(name)
        await until(lambda: APP.layers[0] not in lab.store.blobs.sizes)
        await lab.images.pull(name)
        await lab.images.remove(name)
        assert lab.files() == []


async def test_packed_layers_are_given_back_when_there_is_room_to_record_it(tmp_path: Path) -> None:
    async with image_lab(tmp_path / "images", discard_unpacked_layers=True, collect_every=0.05) as lab:
        lab.disk.gate = Gate()
        await lab.images.pull(lab.registry.add("app", "1", APP))
        await lab.disk.gate.arrivals(1)
        lab.records.failures["put"] = UnavailableError("the disk is full")
        with capture_logs() as logs:
            lab.disk.gate.open()
            await until(lambda: "image.not_settled" in [log["event"] for log in logs])
        lab.records.failures.clear()
        await until(lambda: APP.layers[0] not in lab.store.blobs.sizes)


def _slow(lab: ImageLab, digest: str, seconds: float) -> None:
    async def fault(request: web.Request) -> web.StreamResponse | None:
        if digest in request.path:
            await asyncio.sleep(seconds)
        return None

    lab.registry.fault = fault


async def test_cancelling_keeps_what_is_verified(lab: ImageLab) -> None:
    name = lab.registry.add("app", "1", APP)
    _slow(lab, APP.layers[1], 30)
    pull = asyncio.create_task(lab.images.pull(name))
    await until(lambda: APP.layers[0] in lab.store.blobs.sizes)
    pull.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pull
    lab.registry.fault = None
    lab.registry.requests.clear()
    await lab.images.pull(name)
    assert (lab.registry.count("GET", APP.layers[0]), lab.registry.count("GET", APP.layers[1])) == (0, 1)


async def test_one_of_two_callers_may_leave(lab: ImageLab) -> None:
    name = lab.registry.add("app", "1", APP)
    _slow(lab, APP.layers[1], 0.2)
    stays, leaves = (asyncio.create_task(lab.images.pull(name)) for _ in range(2))
    await asyncio.sleep(0.05)
    leaves.cancel()
    assert await stays == APP.id


async def test_garbage_of_broken_pulls_goes(lab: ImageLab) -> None:
    name = lab.registry.add("app", "1", APP)
    _slow(lab, APP.layers[1], 30)
    pull = asyncio.create_task(lab.images.pull(name))
    await until(lambda: bool(lab.store.index.layers and lab.registry.count("GET", APP.layers[1])))
    pull.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pull
    assert lab.files() != []
    await lab.store.collect(3600)
    assert lab.files() != []
    await lab.store.collect(0)
    assert lab.files() == []


async def test_the_garbage_collector_leaves_a_running_pull_alone(lab: ImageLab) -> None:
    name = lab.registry.add("app", "1", APP)
    _slow(lab, APP.layers[1], 0.2)
    pull = asyncio.create_task(lab.images.pull(name))
    for _ in range(10):
        await lab.store.collect(0)
        await asyncio.sleep(0.02)
    assert await pull == APP.id


async def test_a_pull_without_progress_ends_and_says_what_it_waited_for(tmp_path: Path) -> None:
    async with image_lab(tmp_path / "images", progress_timeout=1) as lab:
        name = lab.registry.add("app", "1", APP)
        _slow(lab, APP.layers[1], 30)
        with pytest.raises(DeadlineError, match=f"no progress for 1 s while waiting for: {APP.layers[1]}"):
            await lab.images.pull(name)


async def test_progress_can_be_watched(lab: ImageLab) -> None:
    name = lab.registry.add("app", "1", APP)
    _slow(lab, APP.layers[1], 0.3)
    pull = asyncio.create_task(lab.images.pull(name))

    def digests() -> list[str]:
        progress = lab.images.progress(name)
        return [step.digest for step in progress.steps] if progress else []

    await until(lambda: digests() == list(APP.layers))
    await pull
    assert lab.images.progress(name) is None


async def test_a_very_deep_image(lab: ImageLab) -> None:
    built: Image = image([[file(f"f{number}", b"%d" % number)] for number in range(120)])
    await lab.images.pull(lab.registry.add("deep", "1", built))
    assert len((await lab.images.root(built.id)).layers) == 120


async def test_an_image_with_one_layer_twice(lab: ImageLab) -> None:
    built = image([BASE, [], []])
    await lab.images.pull(lab.registry.add("twice", "1", built))
    assert len((await lab.images.root(built.id)).layers) == 3
