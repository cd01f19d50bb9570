"""The ImageService of CRI and the service of the command line, over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import grpc
import pytest

from crishim.core.errors import UnavailableError
from crishim.image.credentials import RequestAuth
from crishim.image.errors import ContentError, LimitError, UnauthenticatedError
from crishim.rpc.handlers.images import ImageHandlers, OwnImageHandlers
from crishim.rpc.image_client import ImageClient, ImageView, LayerView
from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb.api_pb2_grpc import ImageServiceStub
from crishim.rpc.server import serving
from crishim.testing.image_service import FakeImageService, image_record

pytestmark = pytest.mark.anyio

NAME = "reg.io/app:1"


@pytest.fixture
def service() -> FakeImageService:
    return FakeImageService()


@pytest.fixture
async def served(address: Path, service: FakeImageService) -> AsyncIterator[Path]:
    image, own = ImageHandlers(service).handlers(), OwnImageHandlers(service).handlers()
    async with serving(address, runtime={}, image=image, own=own, grace=0.2):
        yield address


@pytest.fixture
async def stub(served: Path) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"unix:{served}") as channel:
        yield ImageServiceStub(channel)


def _spec(name: str = NAME) -> pb.ImageSpec:
    return pb.ImageSpec(image=name)


async def test_a_pull_passes_credentials_on(stub: Any, service: FakeImageService) -> None:
    auth = pb.AuthConfig(username="u", password="p", server_address="reg.io")
    answer = await stub.PullImage(pb.PullImageRequest(image=_spec(), auth=auth))
    assert answer.image_ref == service.images[NAME].id
    assert service.auths == [RequestAuth(username="u", password="p", server_address="reg.io")]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnauthenticatedError("no"), grpc.StatusCode.UNAUTHENTICATED),
        (ContentError("no"), grpc.StatusCode.FAILED_PRECONDITION),
        (LimitError("no"), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
async def test_failures(stub: Any, service: FakeImageService, error: Exception, code: grpc.StatusCode) -> None:
    service.error = error
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.PullImage(pb.PullImageRequest(image=_spec()))
    assert caught.value.code() is code


async def test_a_deadline_cancels_the_pull(stub: Any, service: FakeImageService) -> None:
    service.gate = anyio.Event()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.PullImage(pb.PullImageRequest(image=_spec()), timeout=0.2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    with anyio.fail_after(5):
        await service.cancelled.wait()


@pytest.mark.parametrize(
    ("user", "uid", "name"), [("", None, ""), ("0:1", 0, ""), ("www:1", None, "www"), ("9" * 20, None, "9" * 20)]
)
async def test_status(stub: Any, service: FakeImageService, user: str, uid: int | None, name: str) -> None:
    service.images[NAME] = image_record(user=user, repo_tags=(NAME,), pinned=True)
    answer = await stub.ImageStatus(pb.ImageStatusRequest(image=_spec(), verbose=True))
    image = answer.image
    assert (image.HasField("uid"), image.uid.value, image.username) == (uid is not None, uid or 0, name)
    assert (list(image.repo_tags), image.size, image.pinned) == ([NAME], 5, True)
    assert dict(answer.info) == {"info": '{"chainID":"c"}'}


async def test_the_status_of_what_is_not_there_is_empty(stub: Any) -> None:
    answer = await stub.ImageStatus(pb.ImageStatusRequest(image=_spec()))
    assert not answer.HasField("image")


@pytest.mark.parametrize("rpc", ["PullImage", "ImageStatus", "RemoveImage"])
async def test_a_name_must_be_given(stub: Any, rpc: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=r"image\.image"):
        await getattr(stub, rpc)(getattr(pb, f"{rpc}Request")())


async def test_lists(stub: Any, service: FakeImageService) -> None:
    service.images = {f"i{number}": image_record(number) for number in range(450)}
    assert len((await stub.ListImages(pb.ListImagesRequest())).images) == 450
    chunks = [len(part.images) async for part in stub.StreamImages(pb.StreamImagesRequest())]
    assert chunks == [200, 200, 50]
    wanted = pb.ListImagesRequest(filter=pb.ImageFilter(image=_spec("i7")))
    assert [image.id for image in (await stub.ListImages(wanted)).images] == [service.images["i7"].id]


async def test_removal(stub: Any, service: FakeImageService) -> None:
    service.images[NAME] = image_record()
    for _ in range(2):
        await stub.RemoveImage(pb.RemoveImageRequest(image=_spec()))
    assert service.images == {}


async def test_file_systems(stub: Any) -> None:
    answer = await stub.ImageFsInfo(pb.ImageFsInfoRequest())
    parts = (*answer.image_filesystems, *answer.container_filesystems)
    found = [(part.fs_id.mountpoint, part.used_bytes.value, part.inodes_used.value) for part in parts]
    assert found == [("/images", 10, 2), ("/containers", 20, 3)]


async def test_a_watched_pull(served: Path, service: FakeImageService) -> None:
    service.gate = anyio.Event()
    events = []
    async for event in ImageClient(served).pull(NAME):
        events.append(event)
        service.gate.set()
    assert events[0].layers == (LayerView("sha256:1", 10, 5, "downloading"),)
    assert events[-1].image_id == service.images[NAME].id


async def test_leaving_a_watched_pull_cancels_it(served: Path, service: FakeImageService) -> None:
    service.gate = anyio.Event()
    events = ImageClient(served).pull(NAME)
    await anext(events)
    await events.aclose()  # type: ignore[attr-defined]
    with anyio.fail_after(5):
        await service.cancelled.wait()


async def test_an_import(served: Path) -> None:
    assert await ImageClient(served).load(Path("/tmp/a.tar"), "x") == [ImageView(image_record(7).id, ("x",))]
    with pytest.raises(UnavailableError, match=r"INVALID_ARGUMENT.*absolute"):
        await ImageClient(served).load(Path("a.tar"), "")


async def test_the_client_lists_and_removes(served: Path, service: FakeImageService) -> None:
    service.images[NAME] = image_record(repo_tags=(NAME,))
    client = ImageClient(served)
    assert await client.list() == [ImageView(image_record().id, (NAME,), 5)]
    await client.remove(NAME)
    assert await client.list() == []


async def test_nobody_is_there(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="UNAVAILABLE"):
        await ImageClient(tmp_path / "none").list()
