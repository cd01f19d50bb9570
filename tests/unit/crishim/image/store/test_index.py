"""Finding images by every name, and names that move."""

from __future__ import annotations

import pytest

from crishim.image.store.index import ImageIndex
from crishim.model.image import HoldRecord, ImageRecord, LayerRecord


def _image(letter: str, *names: str, chain: tuple[str, ...] = (), blobs: tuple[str, ...] = ()) -> ImageRecord:
    digests = tuple(name for name in names if "@" in name)
    return ImageRecord(
        id="sha256:" + letter * 64,
        manifest="m",
        documents=(),
        packed=blobs,
        chain=chain,
        size=1,
        created_at=0,
        repo_tags=tuple(name for name in names if name not in digests),
        repo_digests=digests,
    )


def _layer(chain_id: str) -> LayerRecord:
    return LayerRecord(chain_id=chain_id, diff_id=chain_id, number=1, used_bytes=0, inodes=0, boot_id="", created_at=0)


DIGEST = "reg.io/a@sha256:" + "d" * 64


@pytest.fixture
def index() -> ImageIndex:
    made = ImageIndex()
    made.put(_image("a", "docker.io/library/busybox:latest", DIGEST), _image("b", "reg.io/b:1"))
    return made


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("reg.io/b", "bc"),
        ("reg.io/b:1", "b"),
        ("reg.io/a", "a"),
        (DIGEST, "a"),
        ("busybox", "a"),
        ("ccc", "c"),
        ("reg.io/b:3", ""),
        ("reg.io/b2", ""),
        ("a//b", ""),
    ],
)
def test_a_list_has_all_of_a_repository(index: ImageIndex, text: str, letters: str) -> None:
    index.put(_image("c", "reg.io/b:2"))
    assert "".join(image.id[-1] for image in index.matching(text)) == letters


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("busybox", "a"),
        ("docker.io/library/busybox:latest", "a"),
        (DIGEST, "a"),
        (DIGEST.replace("@", ":any@"), "a"),
        ("reg.io/b:1", "b"),
        ("sha256:" + "b" * 64, "b"),
        ("b" * 64, "b"),
        ("b" * 12, "b"),
        ("sha256:bbb", "b"),
        ("b", "b"),
        ("reg.io/b", None),
        ("reg.io/b:2", None),
        ("sha256:" + "c" * 64, None),
        ("", None),
        ("a//b", None),
    ],
)
def test_find(index: ImageIndex, text: str, letter: str | None) -> None:
    found = index.find(text)
    assert (found.id if found else None) == (f"sha256:{letter * 64}" if letter else None)


def test_a_beginning_that_fits_two_finds_none() -> None:
    made = ImageIndex()
    made.put(_image("a"), msgspec_replace(_image("a"), "sha256:" + "a" * 63 + "b"))
    assert made.find("aaaa") is None


def test_a_name_moves_to_the_new_image(index: ImageIndex) -> None:
    records = index.with_names(_image("c", "reg.io/b:1", "reg.io/c:1"))
    assert [(record.id[7], record.names) for record in records] == [("c", ("reg.io/b:1", "reg.io/c:1")), ("b", ())]


def test_what_is_known_of_an_image_is_joined(index: ImageIndex) -> None:
    (joined,) = index.with_names(_image("b", "reg.io/other:1", "reg.io/b:1", blobs=("x",)))
    assert (joined.repo_tags, joined.packed) == (("reg.io/b:1", "reg.io/other:1"), ("x",))


def test_what_is_in_use() -> None:
    made = ImageIndex()
    made.put(_image("a", chain=("1", "2"), blobs=("x",)), _image("b", chain=("1",)), HoldRecord("c", ("3",)))
    assert made.chains_in_use() == {"1", "2", "3"}
    assert made.chains_in_use(without="sha256:" + "a" * 64) == {"1", "3"}
    assert (made.blobs_in_use(), made.blobs_in_use(without="sha256:" + "a" * 64)) == ({"x"}, set())


@pytest.mark.parametrize(
    ("chain", "left"),
    [((), set()), (("1", "2"), set()), (("1", "3", "4"), {"4"}), (("5",), {"5"})],
    ids=["nothing", "an image has all", "one is not of others", "nobody else"],
)
def test_what_one_hold_alone_keeps(chain: tuple[str, ...], left: set[str]) -> None:
    index = ImageIndex()
    index.put(_image("a", chain=("1", "2")), HoldRecord("one", ("2", "3")), HoldRecord("it", chain))
    assert index.only_held_by("it") == left


def test_wholeness() -> None:
    made = ImageIndex()
    made.put(_layer("1"))
    assert (made.is_whole(("1",)), made.is_whole(("1", "2"))) == (True, False)


def msgspec_replace(image: ImageRecord, image_id: str) -> ImageRecord:
    return ImageRecord(**{name: getattr(image, name) for name in image.__struct_fields__} | {"id": image_id})
