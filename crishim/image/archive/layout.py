"""What an archive says about its images: an OCI layout's index, or docker's manifest.json.

Source: OCI image specification, "Image Layout"; the format of ``docker save``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Struct

from crishim.image.archive.file import ArchiveFile
from crishim.image.digest import Digest, algorithm, encoded
from crishim.image.errors import ArchiveError, ContentError
from crishim.image.types import Descriptor, Index, decode, decode_document

INDEX, DOCKER_MANIFEST = "index.json", "manifest.json"

_FULL_NAME, _REF_NAME = "io.containerd.image.name", "org.opencontainers.image.ref.name"


class DockerImage(Struct, frozen=True, rename="pascal"):
    """One entry of manifest.json: member names of the configuration and of the layers, lowest first."""

    config: str
    layers: tuple[str, ...]
    repo_tags: tuple[str, ...] | None = None


@dataclass(frozen=True)
class OciImage:
    """One entry of index.json, and the name it is given there, if any."""

    target: Descriptor
    name: str


def blob_member(digest: Digest) -> str:
    """Where an OCI layout keeps a blob."""
    return f"blobs/{algorithm(digest)}/{encoded(digest)}"


def read_layout(archive: ArchiveFile, limit: int) -> Sequence[OciImage] | Sequence[DockerImage]:
    """The images of ``archive``; an OCI index wins over docker's file where there are both.

    Raises ArchiveError when there is neither, or it is not valid; ``limit`` bytes are what each may have.
    """
    if INDEX in archive:
        return _oci(archive.read(INDEX, limit))
    if DOCKER_MANIFEST not in archive:
        raise ArchiveError(f"archive: has neither {INDEX} nor {DOCKER_MANIFEST}, so it is no image archive")
    try:
        return decode(archive.read(DOCKER_MANIFEST, limit), tuple[DockerImage, ...], DOCKER_MANIFEST)
    except ContentError as exc:
        raise ArchiveError(f"archive: {exc}") from exc


def _oci(body: bytes) -> Sequence[OciImage]:
    try:
        index = decode_document(body, INDEX)
    except ContentError as exc:
        raise ArchiveError(f"archive: {exc}") from exc
    if not isinstance(index, Index):
        raise ArchiveError(f"archive: {INDEX} is not an index")
    return [OciImage(entry, _name(entry)) for entry in index.manifests]


def _name(entry: Descriptor) -> str:
    """The full name, else the reference name unless that is a bare tag, which names nothing."""
    short = entry.annotations.get(_REF_NAME, "")
    return entry.annotations.get(_FULL_NAME, "") or (short if any(mark in short for mark in "/:") else "")
