"""A small client for images, for what the command line asks of the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from msgspec import Struct

from crishim.core.errors import UnavailableError
from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb import images_pb2 as own
from crishim.rpc.pb.api_pb2_grpc import ImageServiceStub
from crishim.rpc.pb.images_pb2_grpc import ImagesStub


class ImageView(Struct, frozen=True):
    """One image as a list shows it; ``size`` in bytes."""

    id: str
    names: tuple[str, ...]
    size: int = 0


class LayerView(Struct, frozen=True):
    """One layer of a pull: ``offset`` of ``size`` bytes are there."""

    digest: str
    size: int
    offset: int
    stage: str


class PullView(Struct, frozen=True):
    """How far a pull is; ``image_id`` is set when it has ended."""

    doing: str
    layers: tuple[LayerView, ...]
    image_id: str


class ImageClient:
    """Talks to the server at a unix socket. Every call raises UnavailableError with what the server said."""

    def __init__(self, address: Path) -> None:
        self._address = address

    async def pull(self, name: str) -> AsyncIterator[PullView]:
        """Pull an image; yields how far it is until it ends."""
        async with self._channel() as channel:
            async for event in ImagesStub(channel).Pull(own.PullRequest(image=name)):
                layers = tuple(LayerView(each.digest, each.size, each.offset, each.stage) for each in event.layers)
                yield PullView(event.doing, layers, event.image_id)

    async def load(self, archive: Path, name: str) -> list[ImageView]:
        """Import an archive that the server can read at the absolute path ``archive``."""
        async with self._channel() as channel:
            answer = await ImagesStub(channel).Import(own.ImportRequest(path=str(archive), name=name))
        return [ImageView(image.id, tuple(image.names)) for image in answer.images]

    async def list(self) -> list[ImageView]:
        """All images."""
        async with self._channel() as channel:
            answer = await ImageServiceStub(channel).ListImages(pb.ListImagesRequest())
        return [ImageView(image.id, (*image.repo_tags, *image.repo_digests), image.size) for image in answer.images]

    async def remove(self, name: str) -> None:
        """Remove an image with all its names."""
        async with self._channel() as channel:
            await ImageServiceStub(channel).RemoveImage(pb.RemoveImageRequest(image=pb.ImageSpec(image=name)))

    @asynccontextmanager
    async def _channel(self) -> AsyncIterator[grpc.aio.Channel]:
        try:
            async with grpc.aio.insecure_channel(f"unix:{self._address}") as channel:
                yield channel
        except grpc.aio.AioRpcError as error:
            raise UnavailableError(f"{self._address}: {error.code().name}: {error.details()}") from error
