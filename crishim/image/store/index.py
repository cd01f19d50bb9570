"""The images of this node in memory: every question is answered here, without disk. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Sequence

import msgspec

from crishim.core.errors import InvalidArgumentError
from crishim.image.digest import is_digest
from crishim.image.reference import DEFAULT_TAG, parse_reference
from crishim.model.image import HoldRecord, ImageRecord, LayerRecord

_ID_PREFIX = re.compile(r"(?:sha256:)?([0-9a-f]+)")


class ImageIndex:
    """Images by id, layers by chain id, holds by owner. An image is pinned while it has one of the names ``pinned``."""

    def __init__(self, pinned: Collection[str] = ()) -> None:
        self._pinned = frozenset(pinned)
        self.images: dict[str, ImageRecord] = {}
        self.layers: dict[str, LayerRecord] = {}
        self.holds: dict[str, HoldRecord] = {}

    def put(self, *records: ImageRecord | LayerRecord | HoldRecord) -> None:
        """Take records over, replacing those of the same key."""
        for record in records:
            match record:
                case ImageRecord():
                    is_pinned = not self._pinned.isdisjoint(record.names)
                    self.images[record.id] = msgspec.structs.replace(record, pinned=is_pinned)
                case LayerRecord():
                    self.layers[record.chain_id] = record
                case HoldRecord():
                    self.holds[record.owner] = record

    def find(self, text: str) -> ImageRecord | None:
        """The image called ``text``: its id, a beginning of it that fits no other, or any name it is known by."""
        if is_digest(text):
            return self.images.get(text)
        return self._by_name(text) or self._by_id_prefix(text)

    def matching(self, text: str) -> list[ImageRecord]:
        """What a list is asked for: the image called ``text``, and all of a repository that is given without a tag."""
        found, starts = self.find(text), _beginnings_of_names(text)
        return [image for image in self.images.values() if image is found or _has_name(image, starts)]

    def with_names(self, image: ImageRecord) -> list[ImageRecord]:
        """``image`` joined with what is known of it, and the images that lose a name to it."""
        known = self.images.get(image.id)
        joined = image if known is None else join(known, image)
        robbed = [without_names(other, image.names) for other in self.images.values() if other.id != image.id]
        return [joined, *(other for other in robbed if other != self.images[other.id])]

    def chains_in_use(self, *, without: str = "") -> set[str]:
        """The layers that an image other than ``without``, or a hold, stands on."""
        images = (record.chain for record in self.images.values() if record.id != without)
        return _union(images) | _union(hold.chain for hold in self.holds.values())

    def only_held_by(self, owner: str) -> set[str]:
        """The layers that stay because of this hold alone: none as long as the image is there, so images come first."""
        left = set(self.holds[owner].chain)
        images = (image.chain for image in self.images.values())
        holds = (hold.chain for hold in self.holds.values() if hold.owner != owner)
        for chain in itertools.chain(images, holds):
            left.difference_update(chain)
            if not left:
                break
        return left

    def blobs_in_use(self, *, without: str = "") -> set[str]:
        """The blobs that belong to an image other than ``without``."""
        return _union(record.blobs for record in self.images.values() if record.id != without)

    def is_whole(self, chain: Sequence[str]) -> bool:
        """Whether every layer of ``chain`` is unpacked."""
        return all(chain_id in self.layers for chain_id in chain)

    def is_synced(self, chain: Sequence[str]) -> bool:
        """Whether every layer of ``chain`` is unpacked and outlives a loss of power."""
        return self.is_whole(chain) and all(self.layers[chain_id].synced for chain_id in chain)

    def _by_name(self, text: str) -> ImageRecord | None:
        try:
            reference = parse_reference(text)
        except InvalidArgumentError:
            return None
        name = reference.repo_tag or reference.repo_digest(reference.digest) if reference.digest else reference.repo_tag
        return next((image for image in self.images.values() if name in image.names), None)

    def _by_id_prefix(self, text: str) -> ImageRecord | None:
        match = _ID_PREFIX.fullmatch(text)
        if match is None:
            return None
        found = [image for image in self.images.values() if image.id.startswith(f"sha256:{match[1]}")]
        return found[0] if len(found) == 1 else None


def _beginnings_of_names(text: str) -> tuple[str, ...]:
    """How the names of a repository's images begin; none when ``text`` is no repository, or has a tag or digest."""
    try:
        repository = parse_reference(f"{text}:{DEFAULT_TAG}").repository
    except InvalidArgumentError:
        return ()
    return f"{repository}:", f"{repository}@"


def _has_name(image: ImageRecord, beginnings: tuple[str, ...]) -> bool:
    return any(name.startswith(beginnings) for name in image.names)


def join(known: ImageRecord, new: ImageRecord) -> ImageRecord:
    """One record for one image that came twice, maybe by two names."""
    return msgspec.structs.replace(
        known,
        documents=_together(known.documents, new.documents),
        packed=_together(known.packed, new.packed),
        repo_tags=_together(known.repo_tags, new.repo_tags),
        repo_digests=_together(known.repo_digests, new.repo_digests),
        labels={**known.labels, **new.labels},
    )


def without_names(image: ImageRecord, names: Sequence[str]) -> ImageRecord:
    """``image`` without ``names``, which mean another image now."""
    return msgspec.structs.replace(
        image,
        repo_tags=tuple(tag for tag in image.repo_tags if tag not in names),
        repo_digests=tuple(digest for digest in image.repo_digests if digest not in names),
    )


def _together(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _union(parts: Iterable[Iterable[str]]) -> set[str]:
    return {item for part in parts for item in part}
