"""The rpcs about images: those of CRI, and those of the command line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from crishim.core.errors import refusal
from crishim.rpc.convert.fields import required
from crishim.rpc.convert.image import image_fields, progress_message, request_auth, usage_fields
from crishim.rpc.convert.info import info_map
from crishim.rpc.image_ports import ImageService
from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb import images_pb2 as own
from crishim.rpc.registry import Handlers

_CHUNK = 200
"""Images per message: with 100 names of 255 bytes each, 10 of 16 MiB."""

_WATCH_SECONDS = 0.1


class ImageHandlers:
    """The ImageService of CRI."""

    def __init__(self, images: ImageService) -> None:
        self._images = images

    def handlers(self) -> Handlers:
        """The rpcs handled here."""
        return {
            "ListImages": self.list,
            "StreamImages": self.stream,
            "ImageStatus": self.status,
            "PullImage": self.pull,
            "RemoveImage": self.remove,
            "ImageFsInfo": self.fs_info,
        }

    async def list(self, request: pb.ListImagesRequest) -> pb.ListImagesResponse:
        """List images."""
        found = self._images.list(request.filter.image.image)
        return pb.ListImagesResponse(images=map(image_fields, found))

    async def stream(self, request: pb.StreamImagesRequest) -> AsyncGenerator[pb.StreamImagesResponse, None]:
        """List images in chunks; an empty list is an empty stream."""
        found = self._images.list(request.filter.image.image)
        for start in range(0, len(found), _CHUNK):
            yield pb.StreamImagesResponse(images=map(image_fields, found[start : start + _CHUNK]))

    async def status(self, request: pb.ImageStatusRequest) -> pb.ImageStatusResponse:
        """Describe an image; one that is not there is an empty answer."""
        image = self._images.find(required("image.image", request.image.image))
        if image is None:
            return pb.ImageStatusResponse()
        response = pb.ImageStatusResponse(image=image_fields(image))
        if request.verbose:
            response.info.update(info_map({"info": await self._images.info(image)}))
        return response

    async def pull(self, request: pb.PullImageRequest) -> pb.PullImageResponse:
        """Pull an image; what it is called then is its id."""
        name = required("image.image", request.image.image)
        auth = request_auth(request.auth) if request.HasField("auth") else None
        return pb.PullImageResponse(image_ref=await self._images.pull(name, auth))

    async def remove(self, request: pb.RemoveImageRequest) -> pb.RemoveImageResponse:
        """Remove an image with all its names; one that is not there is no error."""
        await self._images.remove(required("image.image", request.image.image))
        return pb.RemoveImageResponse()

    async def fs_info(self, _: pb.ImageFsInfoRequest) -> pb.ImageFsInfoResponse:
        """What images and containers take on disk."""
        images, containers = await self._images.usage()
        return pb.ImageFsInfoResponse(
            image_filesystems=[usage_fields(images)], container_filesystems=[usage_fields(containers)]
        )


class OwnImageHandlers:
    """The service ``crishim.v1.Images``, which the command line uses."""

    def __init__(self, images: ImageService) -> None:
        self._images = images

    def handlers(self) -> Handlers:
        """The rpcs handled here."""
        return {"Pull": self.pull, "Import": self.load}

    async def pull(self, request: own.PullRequest) -> AsyncGenerator[own.PullEvent, None]:
        """Pull an image and tell how far it is; a caller that goes away cancels it."""
        name = required("image", request.image)
        pull = asyncio.create_task(self._images.pull(name), name=f"watched pull of {name}")
        try:
            while not pull.done():
                await asyncio.wait([pull], timeout=_WATCH_SECONDS)
                if (progress := self._images.progress(name)) is not None:
                    yield progress_message(progress)
            yield own.PullEvent(doing="done", image_id=pull.result())
        finally:
            pull.cancel()
            await asyncio.wait([pull])

    async def load(self, request: own.ImportRequest) -> own.ImportResponse:
        """Import an archive from the server's file system."""
        path = Path(required("path", request.path))
        if not path.is_absolute():
            raise refusal("path", "an absolute path", request.path)
        records = await self._images.load(path, request.name)
        return own.ImportResponse(images=[own.ImportedImage(id=record.id, names=record.names) for record in records])
