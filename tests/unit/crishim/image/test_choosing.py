"""Of entries that name no platform the first one that suits is taken, whatever the others are."""

from __future__ import annotations

import pytest

from crishim.core.errors import NotFoundError
from crishim.image.choosing import choose_entry
from crishim.image.platform import Platform
from crishim.image.types import ContentKind, Descriptor, Index, decode_document
from crishim.testing.images import image, index

pytestmark = pytest.mark.anyio

HERE = Platform("amd64", "linux")


_NO_DIGEST = b'{"rootfs": {"type": "layers", "diff_ids": ["latest"]}}'


@pytest.mark.parametrize("config", [b"{}", _NO_DIGEST, None])
async def test_one_that_can_not_be_read_keeps_no_other_away(config: bytes | None) -> None:
    odd, ours = (image([], platform=HERE, Cmd=[command]) for command in ("odd", "ours"))
    document = decode_document(index({}, odd, ours).body, "x")
    assert isinstance(document, Index)

    async def read(_: ContentKind, wanted: Descriptor) -> bytes:
        body = config if wanted.digest == odd.id else {**odd.blobs, **ours.blobs}[wanted.digest]
        if body is None:
            raise NotFoundError(wanted.digest)
        return body

    assert await choose_entry(HERE, document, read) == document.manifests[1]
