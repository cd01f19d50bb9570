"""How one layer comes out, file by file, and how it hides what is below."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import tarfile
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from crishim.image.errors import ContentError, LayerError, LimitError
from crishim.image.settings import Limits
from crishim.image.types import Compression
from crishim.image.unpack.metadata import OPAQUE_XATTR
from crishim.image.unpack.unpacker import unpack_layer
from crishim.testing.images import (
    EPOCH,
    Member,
    compress,
    device,
    directory,
    file,
    hard_link,
    opaque,
    symlink,
    tar,
    whiteout,
    with_xattr,
)
from tests.netns.image.lab import joined, look, unpack, unpack_all


def _is_whiteout(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(path: Path) -> bool:
    return OPAQUE_XATTR in os.listxattr(path) and os.getxattr(path, OPAQUE_XATTR) == b"y"


LOWER = [directory("d", mode=0o2750, uid=3, gid=4), file("d/a", b"a"), directory("d/s"), file("f", b"f")]


def test_a_whiteout_becomes_the_device_overlayfs_knows(tmp_path: Path) -> None:
    top, _ = unpack_all(tmp_path, [LOWER, [whiteout("d/a"), whiteout("f")]])
    assert _is_whiteout(top / "d/a")
    assert _is_whiteout(top / "f")


def test_an_opaque_directory_gets_its_attribute(tmp_path: Path) -> None:
    top, _ = unpack_all(tmp_path, [LOWER, [opaque("d"), file("d/new")]])
    assert _is_opaque(top / "d")


@pytest.mark.parametrize("members", [[whiteout("d/none"), whiteout("none/at/all")], [whiteout(".wh.x")]])
def test_a_whiteout_of_what_is_not_there_leaves_nothing(tmp_path: Path, members: list[Member]) -> None:
    top, _ = unpack_all(tmp_path, [LOWER, members])
    assert list(look(top)) == ["."]


@pytest.mark.parametrize(
    "members",
    [
        [whiteout("d"), directory("d"), file("d/x")],
        [directory("d"), file("d/x"), whiteout("d")],
        [whiteout("d"), file("d/x")],
        [directory("d"), whiteout("d"), directory("d"), file("d/x")],
        [opaque("d"), file("d/x")],
        [file("d/x"), opaque("d"), directory("d")],
        [whiteout("d/a"), file("d/x"), opaque("d"), whiteout("d/s")],
        [whiteout("d/a"), file("d/x"), whiteout("d")],
        [file("d"), directory("d"), file("d/x")],
        [symlink("d", "f"), whiteout("d"), directory("d"), file("d/x")],
        [whiteout("d"), hard_link("d", "f"), directory("d"), file("d/x")],
    ],
    ids=[
        "before",
        "after",
        "implicit",
        "between",
        "opaque",
        "opaque after",
        "in it",
        "in it, after",
        "was file",
        "was link",
        "was hard link",
    ],
)
def test_a_directory_that_is_removed_and_made_again(tmp_path: Path, members: list[Member]) -> None:
    with joined(tmp_path, unpack_all(tmp_path, [LOWER, members])) as root:
        assert [name for name in look(root) if name.startswith("d")] == ["d", "d/x"]


@pytest.mark.parametrize(
    "members",
    [
        [opaque("."), file("d/x")],
        [file("d/x"), opaque("."), opaque(".")],
        [symlink("l", "/"), opaque("l"), whiteout("d"), directory("d"), file("d/x"), whiteout("l")],
    ],
    ids=["before", "after", "over a link"],
)
def test_all_that_is_below_is_removed(tmp_path: Path, members: list[Member]) -> None:
    with joined(tmp_path, unpack_all(tmp_path, [LOWER, [file("g")], members])) as root:
        assert sorted(name for name in look(root) if name != "l") == [".", "d", "d/x"]


def test_nothing_below_a_removed_directory_counts(tmp_path: Path) -> None:
    lower = [directory("e"), symlink("d/l", "../e"), file("d/a")]
    for name in "12":
        (tmp_path / name).mkdir()
    top, _ = unpack_all(tmp_path / "1", [lower, [whiteout("d"), whiteout("d/a")]])
    assert list(look(top)) == [".", "d"]
    assert _is_whiteout(top / "d")
    with joined(tmp_path / "2", unpack_all(tmp_path / "2", [lower, [whiteout("d"), file("d/l/f")]])) as root:
        assert sorted(look(root)) == [".", "d", "d/l", "d/l/f", "e"]


def test_a_parent_that_is_not_listed_looks_like_the_one_below(tmp_path: Path) -> None:
    top, base = unpack_all(tmp_path, [LOWER, [file("d/new")]])
    ours, theirs = (top / "d").stat(), (base / "d").stat()
    assert (ours.st_mode, ours.st_uid, ours.st_gid) == (theirs.st_mode, theirs.st_uid, theirs.st_gid)


OTHERS = [file(f"other{number}/f") for number in range(100)]


@pytest.mark.parametrize(
    "members",
    [
        [directory("t"), *OTHERS, file("t/a"), *OTHERS, file("t/b")],
        [file("t/a"), directory("t"), file("t/b")],
        [directory("t"), symlink("l", "t"), file("l/a")],
        [directory("t"), file("t/not/listed/a")],
        [directory("t"), directory("t/a"), file("t/a"), file("t/b")],
        [whiteout("t/b"), directory("t"), whiteout("t/d"), file("t/d/x")],
        [file("t/d/x")],
    ],
    ids=["again and again", "listed late", "over a link", "not listed", "replaced", "whiteouts", "lower"],
)
def test_what_is_made_in_a_directory_does_not_change_its_times(tmp_path: Path, members: list[Member]) -> None:
    lower = [directory("./"), directory("t"), file("t/b"), file("t/d/x")]
    top, _ = unpack_all(tmp_path, [lower, members])
    assert (top.stat().st_mtime, (top / "t").stat().st_mtime) == (EPOCH, EPOCH)


def test_a_whiteout_in_a_directory_that_was_opaque_before_it_gave_way(tmp_path: Path) -> None:
    members = [opaque("d"), file("d/a"), file("d"), directory("d"), whiteout("d/a")]
    with joined(tmp_path, unpack_all(tmp_path, [LOWER, members])) as root:
        assert not (root / "d/a").exists()


def test_the_root_looks_like_the_one_below(tmp_path: Path) -> None:
    top, _ = unpack_all(tmp_path, [[directory("./", mode=0o700, uid=7)], [file("x")]])
    assert (stat.S_IMODE(top.stat().st_mode), top.stat().st_uid) == (0o700, 7)


def test_set_id_bits_and_capabilities_survive_the_owner(tmp_path: Path) -> None:
    value = bytes.fromhex("0100000200200000000000000000000000000000")
    unpack(tmp_path / "l", [with_xattr(file("p", b"x", mode=0o6755, uid=5), security_capability=value)])
    assert stat.S_IMODE((tmp_path / "l/p").stat().st_mode) == 0o6755
    assert os.getxattr(tmp_path / "l/p", "security.capability") == value


def test_sparse_files_stay_sparse(tmp_path: Path) -> None:
    with (tmp_path / "s").open("wb") as sparse:
        sparse.truncate(1 << 30)
        sparse.seek(1 << 29)
        sparse.write(b"middle")
    layer = subprocess.run(["tar", "-cSf", "-", "-C", tmp_path, "s"], check=True, capture_output=True).stdout
    unpack(tmp_path / "l", layer)
    made = (tmp_path / "l/s").stat()
    assert (made.st_size, made.st_blocks < 100) == (1 << 30, True)
    assert subprocess.run(["cmp", tmp_path / "s", tmp_path / "l/s"], check=False).returncode == 0


def test_what_a_layer_takes_is_counted(tmp_path: Path) -> None:
    layer = tar([directory("d"), file("d/a", b"x" * 5000), hard_link("d/b", "d/a"), symlink("l", "d")])
    made = unpack(tmp_path / "l", layer)
    assert (made.used_bytes, made.stream_bytes) == (4096 + 8192, len(layer))
    assert made.inodes == 3


@pytest.mark.parametrize("compression", list(Compression))
def test_every_compression(tmp_path: Path, compression: Compression) -> None:
    layer = tar(LOWER)
    assert unpack(tmp_path / "a", compress(layer, compression)).diff_id == unpack(tmp_path / "b", layer).diff_id
    assert (tmp_path / "a/d/a").read_bytes() == b"a"


def _sparse(name: str, size: int) -> Member:
    info, content = file(name)
    info.pax_headers = {"GNU.sparse.size": str(size), "GNU.sparse.map": ""}
    return info, content


LOOP = [symlink("x", "y"), symlink("y", "x"), file("x/f")]
HOSTILE: dict[str, tuple[Iterable[Member] | bytes, str]] = {
    "traversal": ([file("../../escape", b"!")], "leads out"),
    "traversal in the middle": ([file("a/../../escape", b"!")], "leads out"),
    "absolute traversal": ([file("/../escape", b"!")], "leads out"),
    "link traversal": ([file("a"), hard_link("b", "../../../etc/hostname")], "leads out"),
    "loop": (LOOP, "too many levels"),
    "deep loop": ([symlink("a", "a/b/c"), file("a/f")], "too many levels"),
    "file as directory": ([file("a"), file("a/b")], "not a directory"),
    "device as directory": ([device("a", 1, 3), file("a/b")], "not a directory"),
    "link to nothing": ([hard_link("b", "a")], "no file"),
    "link to itself": ([file("a"), hard_link("a", "a")], "itself"),
    "link to a directory": ([directory("a"), hard_link("b", "a")], "link|permitted"),
    "link to a whiteout": ([hard_link("b", ".wh.f")], "hard link to"),
    "file as root": ([file("./")], "only a directory"),
    "whiteout of the parent": ([file("a/.wh...")], "whiteout of nothing"),
    "too deep": (tar([file("/".join(2050 * "d"))], dialect=tarfile.GNU_FORMAT), "2048 directories deep"),
    "too deep over a link": ([symlink("l", "/".join(2000 * "d")), file(f"l/{'d/' * 60}f")], "2048 directories deep"),
    "name too long": ([file("n" * 300)], "too long"),
    "device out of range": (tar([device("a", 1 << 40, 3)], dialect=tarfile.GNU_FORMAT), "out of range"),
    "sparse out of range": ([_sparse("a", 1 << 64)], "out of range"),
    "owner out of range": ([file("a", uid=1 << 33)], "out of range"),
    "no tar": (b"<html>404</html>" * 100, "header"),
    "cut short": (tar([file("a", b"x" * 9000)])[:6000], "ends in the middle"),
    "garbage after the end": (tar([file("a")])[:512] + bytes(512) + b"x" * 512, "zero block"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_layers(tmp_path: Path, case: str) -> None:
    members, complaint = HOSTILE[case]
    (tmp_path / "outside").mkdir()
    before = look(tmp_path / "outside")
    with pytest.raises(LayerError, match=complaint):
        unpack(tmp_path / "l", members)
    assert look(tmp_path / "outside") == before
    assert not (tmp_path / "escape").exists()


ESCAPES: dict[str, list[Member]] = {
    "absolute link": [symlink("l", "/outside"), file("l/f", b"!")],
    "relative link": [symlink("l", "../../../outside"), file("l/f", b"!")],
    "link over a link": [symlink("a", "../outside"), symlink("b", "a"), directory("b/f")],
    "link in the middle": [directory("d"), symlink("d/l", "../../outside"), file("d/l/x/f", b"!")],
    "link, then a whiteout": [symlink("l", "../outside"), whiteout("l/keep"), opaque("l")],
    "link, then a hard link": [symlink("l", "../outside"), hard_link("h", "l/keep")],
    "link at the end": [symlink("l", "../outside/keep"), file("l", b"replaced")],
    "link, then its directory": [symlink("l", "../outside"), directory("l", mode=0o777)],
    "link that changes": [directory("l"), file("l/a"), symlink("l", "../outside"), file("l/f", b"!")],
}


@pytest.mark.parametrize("case", ESCAPES)
def test_links_are_never_followed_out_of_the_layer(tmp_path: Path, case: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    (outside / "keep").write_bytes(b"keep")
    before = look(outside)
    try:
        unpack(tmp_path / "l", ESCAPES[case])
    except LayerError:
        assert case == "link, then a hard link"
    assert look(outside) == before


def test_lower_layers_are_never_written(tmp_path: Path) -> None:
    base = unpack_all(tmp_path, [[*LOWER, symlink("l", "d")]])
    before = look(base[0])
    changes = [file("l/x"), file("d/a", b"changed"), whiteout("d/s"), directory("d", mode=0o777), hard_link("h", "f")]
    unpack(tmp_path / "top", changes, base)
    assert look(base[0]) == before


@pytest.mark.parametrize("name", ["trusted_overlay.redirect", "security_selinux"])
def test_attributes_that_steer_overlayfs_or_selinux_are_left_out(tmp_path: Path, name: str) -> None:
    unpack(tmp_path / "l", [with_xattr(directory("d"), **{name: b"/etc"})])
    unpack(tmp_path / "plain", [directory("d")])
    assert _xattrs(tmp_path / "l/d") == _xattrs(tmp_path / "plain/d")


def _xattrs(path: Path) -> dict[str, bytes]:
    return {name: os.getxattr(path, name) for name in os.listxattr(path)}


@pytest.mark.parametrize(
    "limits", [Limits(max_unpacked_bytes=1 << 20), Limits(max_entries=3)], ids=["bytes", "entries"]
)
def test_a_bomb_is_stopped(tmp_path: Path, limits: Limits) -> None:
    members = [file(str(number), bytes(1 << 20)) for number in range(64)]
    with pytest.raises(LimitError, match="more than the allowed"):
        unpack(tmp_path / "l", compress(tar(members), Compression.GZIP), limits=limits)
    written = sum(path.stat().st_size for path in (tmp_path / "l").iterdir())
    assert written <= 4 << 20


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_truncated_blobs(tmp_path: Path, compression: Compression) -> None:
    packed = compress(tar([file("a", os.urandom(100_000))]), compression)
    with pytest.raises(ContentError, match="too early"):
        unpack(tmp_path / "l", packed[:50_000])


def test_unpacking_can_be_cancelled(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(tar(LOWER))
    (tmp_path / "l").mkdir()
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(LayerError, match="cancelled"):
        unpack_layer(tmp_path / "blob", tmp_path / "l", [], Limits(), cancel)
    assert threading.active_count() == 1


def test_a_lower_file_is_linked_with_all_it_has(tmp_path: Path) -> None:
    lower = [with_xattr(file("a", b"text", mode=0o4711, uid=8), user_k=b"v"), symlink("s", "a")]
    top, _ = unpack_all(tmp_path, [lower, [hard_link("b", "a"), hard_link("t", "s")]])
    seen = look(top)
    assert (seen["b"].links, seen["b"].mode, seen["b"].owner, seen["b"].xattrs) == (2, 0o4711, (8, 0), {"user.k": b"v"})
    assert (seen["t"].kind, seen["t"].content) == ("l", "a")


def test_many_open_directories(tmp_path: Path) -> None:
    deep = [file(f"{'/'.join(f'd{number}' for number in range(count))}/f") for count in range(1, 150)]
    assert unpack(tmp_path / "l", tar(deep, dialect=tarfile.GNU_FORMAT)).inodes == 149 + 149
    assert len(list(Path("/proc/self/fd").iterdir())) < 60


def test_paths_may_be_deeper_than_files_may_be_open(tmp_path: Path) -> None:
    deep = "/".join(200 * "d")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (150, limits[1]))
    try:
        top, _ = unpack_all(tmp_path, [[directory("d", mode=0o700), file(f"{deep}/a")], [file(f"{deep}/b")]])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert (top / deep / "b").is_file()
    assert look(top)["d"].mode == 0o700


def test_a_deep_directory_gives_way_to_a_file(tmp_path: Path) -> None:
    """Deeper than functions nest."""
    layer = tar([directory("/".join(1100 * "d")), file("d", b"x")], dialect=tarfile.GNU_FORMAT)
    unpack(tmp_path / "l", layer)
    assert (tmp_path / "l/d").read_bytes() == b"x"
