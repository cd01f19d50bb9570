"""Manifests, indexes and configurations as registries send them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crishim.image.digest import Digest
from crishim.image.errors import ContentError, LimitError
from crishim.image.settings import Limits
from crishim.image.types import (
    Compression,
    Descriptor,
    Index,
    Manifest,
    MediaType,
    check_layers,
    check_limits,
    decode_config,
    decode_document,
    layer_compression,
)
from crishim.testing.images import file, image

D = Digest("sha256:" + "0" * 64)
CONFIG = {"mediaType": MediaType.OCI_CONFIG, "digest": D, "size": 2}
LAYER = {"mediaType": MediaType.OCI_LAYER + "+gzip", "digest": D, "size": 10}


def _manifest(**changes: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "config": CONFIG, "layers": [LAYER], **changes}).encode()


def test_a_manifest_without_media_type() -> None:
    decoded = decode_document(_manifest(), "x")
    assert isinstance(decoded, Manifest)
    assert decoded.layers[0].size == 10


def test_an_index() -> None:
    body = json.dumps({"schemaVersion": 2, "manifests": [CONFIG | {"platform": {"os": "linux"}}]}).encode()
    assert isinstance(decode_document(body, "x"), Index)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not valid"),
        (b"<html>", "not valid"),
        (b"[" * 100_000, "not valid"),
        (b'{"schemaVersion": 2}', "not valid"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "schema 1"),
        (_manifest(manifests=[]), "both 'manifests' and 'layers'"),
        (_manifest(mediaType=MediaType.OCI_INDEX), "the other kind"),
        (_manifest(config=CONFIG | {"mediaType": "application/vnd.cncf.helm.config.v1+json"}), "artifact"),
        (_manifest(config=CONFIG | {"size": -1}), "negative"),
        (_manifest(layers=[LAYER | {"size": "10"}]), "layers"),
        (_manifest(layers=[LAYER | {"digest": "../../etc/passwd"}]), "x: digest '../../etc/passwd'"),
        (_manifest(layers=[LAYER | {"mediaType": MediaType.DOCKER_FOREIGN + ".gzip"}]), "foreign"),
        (_manifest(layers=[LAYER | {"mediaType": "text/plain"}]), "not a tar layer"),
    ],
)
def test_documents_that_are_refused(body: bytes, complaint: str) -> None:
    with pytest.raises(ContentError, match=complaint):
        decode_document(body, "x")


def test_a_diff_id_that_is_no_digest() -> None:
    body = json.dumps({"rootfs": {"type": "layers", "diff_ids": ["../../etc/passwd"]}}).encode()
    with pytest.raises(ContentError, match=f"image configuration {D}: digest '../../etc/passwd'"):
        decode_config(body, D)


@pytest.mark.parametrize(
    ("media_type", "compression"),
    [
        (MediaType.OCI_LAYER, Compression.NONE),
        (MediaType.OCI_LAYER + "+gzip", Compression.GZIP),
        (MediaType.OCI_LAYER + "+zstd", Compression.ZSTD),
        (MediaType.DOCKER_LAYER, Compression.NONE),
        (MediaType.DOCKER_LAYER + ".gzip", Compression.GZIP),
        (MediaType.DOCKER_LAYER + ".zstd", Compression.ZSTD),
    ],
)
def test_layer_types(media_type: str, compression: Compression) -> None:
    assert layer_compression(Descriptor(media_type, D, 1)) is compression


@pytest.mark.parametrize(
    "limits", [Limits(max_layers=0), Limits(max_image_bytes=9), Limits(max_document_bytes=1)], ids=str
)
def test_limits(limits: Limits) -> None:
    decoded = decode_document(_manifest(), "x")
    assert isinstance(decoded, Manifest)
    check_limits(decoded, Limits(), "x")
    with pytest.raises(LimitError, match="x: "):
        check_limits(decoded, limits, "x")


def test_a_user_longer_than_two_names_is_refused() -> None:
    long, longer = (image([], User="u" * length) for length in (511, 512))
    assert decode_config(long.blobs[long.id], long.id).execution.user == "u" * 511
    with pytest.raises(LimitError, match=r"config\.User: 512 characters, at most 511"):
        decode_config(longer.blobs[longer.id], longer.id)


def test_a_configuration_must_fit_its_manifest() -> None:
    built = image([[file("a")]], User="1:2", Cmd=["sh"])
    config = decode_config(built.blobs[built.id], built.id)
    assert (config.execution.user, config.execution.cmd) == ("1:2", ("sh",))
    decoded = decode_document(_manifest(layers=[]), "x")
    assert isinstance(decoded, Manifest)
    with pytest.raises(ContentError, match="0 layers but 1 diff ids"):
        check_layers(decoded, config, "x")
