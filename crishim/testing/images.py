"""Makes container images out of nothing, for tests and for the test registry: layers, configurations, archives."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from backports import zstd

from crishim.image.digest import Digest, digest_of, encoded
from crishim.image.platform import Platform, host_platform
from crishim.image.types import Compression, MediaType

EPOCH = 1_700_000_000
_SUFFIX = {Compression.NONE: "", Compression.GZIP: "+gzip", Compression.ZSTD: "+zstd"}

Member = tuple[tarfile.TarInfo, bytes]


def file(name: str, content: bytes = b"", *, mode: int = 0o644, uid: int = 0, gid: int = 0) -> Member:
    """A regular file."""
    info = _info(name, mode, uid, gid)
    info.size = len(content)
    return info, content


def directory(name: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Member:
    """A directory."""
    return _typed(name, tarfile.DIRTYPE, mode=mode, uid=uid, gid=gid)


def symlink(name: str, target: str) -> Member:
    """A symbolic link."""
    return _typed(name, tarfile.SYMTYPE, linkname=target, mode=0o777)


def hard_link(name: str, target: str, mode: int = 0o644) -> Member:
    """A hard link to another member, of this layer or one below; give it that one's ``mode``: some set it anew."""
    return _typed(name, tarfile.LNKTYPE, linkname=target, mode=mode)


def device(name: str, major: int, minor: int, *, is_block: bool = False, mode: int = 0o600) -> Member:
    """A device node."""
    info, content = _typed(name, tarfile.BLKTYPE if is_block else tarfile.CHRTYPE, mode=mode)
    info.devmajor, info.devminor = major, minor
    return info, content


def fifo(name: str) -> Member:
    """A named pipe."""
    return _typed(name, tarfile.FIFOTYPE)


def whiteout(name: str) -> Member:
    """The removal of a name of a lower layer."""
    parent, slash, last = name.rpartition("/")
    return file(f"{parent}{slash}.wh.{last}", mode=0)


def opaque(name: str) -> Member:
    """The removal of all that lower layers have in a directory."""
    return file(f"{name}/.wh..wh..opq", mode=0)


def with_xattr(member: Member, **attributes: bytes) -> Member:
    """``member`` with extended attributes; ``security_capability`` stands for security.capability."""
    info, content = member
    info.pax_headers = {
        f"SCHILY.xattr.{name.replace('_', '.', 1)}": value.decode("utf-8", "surrogateescape")
        for name, value in attributes.items()
    }
    return info, content


def tar(members: Iterable[Member], *, dialect: int = tarfile.PAX_FORMAT) -> bytes:
    """The members as a tar stream; the same members make the same bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=dialect, encoding="utf-8", errors="surrogateescape") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


@lru_cache(maxsize=4)  # many images share their first layer
def compress(data: bytes, compression: Compression) -> bytes:
    """``data`` packed; the same data make the same bytes."""
    if compression is Compression.GZIP:
        return gzip.compress(data, 6, mtime=0)
    return bytes(zstd.compress(data)) if compression is Compression.ZSTD else data


@dataclass(frozen=True)
class Image:
    """An image ready to be served: its blobs by digest, and which of them is its manifest or index."""

    digest: Digest
    media_type: str
    blobs: Mapping[Digest, bytes]
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The manifest or index."""
        return self.blobs[self.digest]

    @property
    def id(self) -> Digest:
        """The image id; of an image, not of an index."""
        return Digest(self.manifest["config"]["digest"])

    @property
    def layers(self) -> tuple[Digest, ...]:
        """The digests of the layers, lowest first; of an image, not of an index."""
        return tuple(Digest(layer["digest"]) for layer in self.manifest["layers"])


def image(
    layers: Sequence[Iterable[Member] | bytes],
    *,
    compression: Compression = Compression.GZIP,
    platform: Platform | None = None,
    is_docker: bool = False,
    **config: Any,
) -> Image:
    """An image of ``layers`` (members, or ready tar streams); ``config`` is the execution part, as ``Cmd=[…]``."""
    streams = [layer if isinstance(layer, bytes) else tar(layer) for layer in layers]
    packed = [compress(stream, compression) for stream in streams]
    body = _config(streams, platform or host_platform(), config)
    layer_type, config_type, manifest_type = _types(compression, is_docker=is_docker)
    document = {
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": _descriptor(config_type, body),
        "layers": [_descriptor(layer_type, blob) for blob in packed],
    }
    return from_manifest(document, [body, *packed])


def from_manifest(document: Mapping[str, Any], blobs: Iterable[bytes]) -> Image:
    """An image with exactly this manifest, right or wrong."""
    encoded_document = json.dumps(document).encode()
    found = {digest_of(blob): blob for blob in (encoded_document, *blobs)}
    return Image(digest_of(encoded_document), document.get("mediaType", ""), found, document)


def index(images: Mapping[Platform, Image], *unnamed: Image) -> Image:
    """An index over images for several platforms, after those whose platform it does not tell."""
    entries = [
        *(_descriptor(entry.media_type, entry.body) for entry in unnamed),
        *(
            {**_descriptor(entry.media_type, entry.body), "platform": _platform(platform)}
            for platform, entry in images.items()
        ),
    ]
    document = {"schemaVersion": 2, "mediaType": MediaType.OCI_INDEX, "manifests": entries}
    body = json.dumps(document).encode()
    blobs = {digest: blob for entry in (*unnamed, *images.values()) for digest, blob in entry.blobs.items()}
    return Image(digest_of(body), MediaType.OCI_INDEX, {**blobs, digest_of(body): body})


def write_oci_archive(path: Path, images: Mapping[str, Image]) -> None:
    """An OCI layout in a tar file; the keys are full names."""
    entries = [
        {**_descriptor(entry.media_type, entry.body), "annotations": _annotations(name)}
        for name, entry in images.items()
    ]
    blobs = {digest: blob for entry in images.values() for digest, blob in entry.blobs.items()}
    members = [
        file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
        *(file(f"blobs/sha256/{encoded(digest)}", blob) for digest, blob in blobs.items()),
        file("index.json", json.dumps({"schemaVersion": 2, "manifests": entries}).encode()),
    ]
    path.write_bytes(tar(members))


def write_docker_archive(path: Path, images: Mapping[str, Image]) -> None:
    """What ``docker save`` writes; a layer that comes twice is a link the second time."""
    members: list[Member] = []
    entries = []
    seen: set[str] = set()
    for name, entry in images.items():
        layers = []
        for position, digest in enumerate(entry.layers):
            member = f"{encoded(digest)}/layer.tar"
            if member in seen:
                alias = f"{position}-{encoded(entry.digest)}/layer.tar"
                members.append(symlink(alias, f"../{member}"))
                member = alias
            else:
                seen.add(member)
                members.append(file(member, entry.blobs[digest]))
            layers.append(member)
        config = f"{encoded(entry.id)}.json"
        members.append(file(config, entry.blobs[entry.id]))
        entries.append({"Config": config, "RepoTags": [name], "Layers": layers})
    path.write_bytes(tar([*members, file("manifest.json", json.dumps(entries).encode())]))


def _annotations(name: str) -> dict[str, str]:
    tag = name.rpartition(":")[2]
    return {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag}


def _config(streams: Sequence[bytes], platform: Platform, execution: Mapping[str, Any]) -> bytes:
    document = {
        "created": "2023-11-14T22:13:20Z",
        **_platform(platform),
        "config": execution,
        "rootfs": {"type": "layers", "diff_ids": [digest_of(stream) for stream in streams]},
    }
    return json.dumps(document).encode()


def _types(compression: Compression, *, is_docker: bool) -> tuple[str, str, str]:
    if is_docker:
        return MediaType.DOCKER_LAYER + ".gzip", MediaType.DOCKER_CONFIG, MediaType.DOCKER_MANIFEST
    return MediaType.OCI_LAYER + _SUFFIX[compression], MediaType.OCI_CONFIG, MediaType.OCI_MANIFEST


def _descriptor(media_type: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(blob), "size": len(blob)}


def _platform(platform: Platform) -> dict[str, str]:
    known = {"architecture": platform.architecture, "os": platform.os, "variant": platform.variant}
    return {key: value for key, value in known.items() if value}


def _info(name: str, mode: int, uid: int, gid: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode, info.uid, info.gid, info.mtime = mode, uid, gid, EPOCH
    return info


def _typed(name: str, kind: bytes, *, linkname: str = "", mode: int = 0o644, uid: int = 0, gid: int = 0) -> Member:
    info = _info(name, mode, uid, gid)
    info.type, info.linkname = kind, linkname
    return info, b""
