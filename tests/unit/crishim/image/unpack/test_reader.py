"""Reading tar streams of every dialect, and of none. GNU tar writes the sparse ones."""

from __future__ import annotations

import contextlib
import io
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crishim.image.errors import LayerError, LimitError
from crishim.image.unpack.header import BLOCK, Header
from crishim.image.unpack.reader import Entry, TarReader
from crishim.testing.images import directory, file, hard_link, symlink, tar, with_xattr

LONG = "d/" * 60 + "n" * 150


class Bytes:
    """Bytes as a source, in pieces of one block."""

    def __init__(self, data: bytes) -> None:
        self._stream, self._size = io.BytesIO(data), len(data)

    def some(self, most: int) -> memoryview:
        return memoryview(self._stream.read(min(most, BLOCK)))

    def exactly(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) != count:
            raise LayerError("ends")
        return data

    def skip(self, count: int) -> None:
        self.exactly(count)

    def at_end(self) -> bool:
        return self._stream.tell() >= self._size


def _read(data: bytes, may_have: int = 1000) -> list[tuple[Entry, bytes]]:
    reader = TarReader(Bytes(data), may_have)
    found = []
    for entry in reader:
        content = b""
        while part := reader.data(1 << 20):
            content += part
        found.append((entry, content))
    return found


@pytest.mark.parametrize("dialect", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_names_contents_and_owners(dialect: int) -> None:
    members = [directory("d", mode=0o1777), file(LONG, b"x" * 600, uid=7, gid=1 << 22), symlink("s", LONG), file("e")]
    found = _read(tar(members, dialect=dialect))
    names = [entry.header.name.decode() for entry, _ in found]
    assert [name.rstrip("/") for name in names] == ["d", LONG, "s", "e"]
    big = found[1]
    assert (big[0].header.uid, big[0].header.gid, big[1]) == (7, 1 << 22, b"x" * 600)
    assert (found[2][0].header.linkname.decode(), found[0][0].header.mode) == (LONG, 0o1777)


def test_ustar_prefix_and_types() -> None:
    long = "p" * 90 + "/" + "q" * 80
    found = _read(tar([file(long), hard_link("h", "p"), directory("x")], dialect=tarfile.USTAR_FORMAT))
    assert [(entry.header.name.decode().rstrip("/"), entry.header.type) for entry, _ in found] == [
        (long, b"0"),
        ("h", b"1"),
        ("x", b"5"),
    ]


def test_extended_attributes_are_bytes() -> None:
    value = b"\x01\x00\x00\x02 \xff=\n"
    ((entry, _),) = _read(tar([with_xattr(file("a"), security_capability=value, user_x=b"1")]))
    assert entry.xattrs == {"security.capability": value, "user.x": b"1"}


@pytest.mark.parametrize(
    ("seconds", "nanoseconds"), [(1.5, 1_500_000_000), (-2.0, -2_000_000_000), (1 << 34, (1 << 34) * 10**9)]
)
def test_times(seconds: float, nanoseconds: int) -> None:
    member = file("a")
    member[0].mtime = seconds
    ((entry, _),) = _read(tar([member]))
    assert entry.header.mtime == nanoseconds


@pytest.mark.parametrize("dialect", ["gnu", "posix", "posix --sparse-version=0.0", "posix --sparse-version=0.1"])
def test_sparse_files_of_gnu_tar(tmp_path: Path, dialect: str) -> None:
    with (tmp_path / "sparse").open("wb") as sparse:
        for position in range(30):
            sparse.seek(position * 100_000)
            sparse.write(b"data%d" % position)
        sparse.truncate(5_000_000)
    command = f"tar -cSf - --format={dialect} -C {tmp_path} sparse"
    ((entry, content),) = _read(subprocess.run(command.split(), check=True, capture_output=True).stdout)
    assert entry.header.name == b"sparse"
    assert entry.sparse is not None
    assert _rebuilt(entry, content) == (tmp_path / "sparse").read_bytes()


def _rebuilt(entry: Entry, content: bytes) -> bytes:
    assert entry.sparse is not None
    whole, position = bytearray(entry.sparse.size), 0
    for offset, length in entry.sparse.extents:
        whole[offset : offset + length] = content[position : position + length]
        position += length
    return bytes(whole)


def _edited(edit: Callable[[bytearray], None]) -> bytes:
    """One file's tar stream, with its header edited and the checksum set right again."""
    data = bytearray(tar([file("a", b"x" * 100)]))
    edit(data)
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:BLOCK])
    return bytes(data)


def _put(position: int, value: bytes) -> Callable[[bytearray], None]:
    def edit(data: bytearray) -> None:
        data[position : position + len(value)] = value

    return edit


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"x" * BLOCK, "octal|checksum"),
        (tar([file("a", b"1" * 1000)])[:700], "ends"),
        (tar([file("a")])[:BLOCK] + bytes(BLOCK) + b"x" * BLOCK, "after a zero block"),
        (_edited(_put(124, b"0000008\0")), "octal"),
        (_edited(_put(124, b"\xff" * 12)), "negative"),
        (_edited(_put(156, b"x")), "pax header"),
        (_edited(_put(156, b"S")), "sparse"),
        (_edited(_put(156, b"L")), "after an extended header"),
    ],
)
def test_damage_is_told(data: bytes, complaint: str) -> None:
    with pytest.raises(LayerError, match=complaint):
        _read(data)


def test_an_extended_header_that_never_ends() -> None:
    def edit(data: bytearray) -> None:
        data[156:157] = b"x"
        data[124:136] = b"77777777777\0"

    with pytest.raises(LayerError, match="extended header of"):
        _read(_edited(edit))


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_extended_headers_count_as_entries(kind: bytes) -> None:
    def edit(data: bytearray) -> None:
        data[156:157] = kind
        data[124:136] = b"00000000000\0"

    data = _edited(edit)[:BLOCK] * 9 + tar([file("a")])
    assert len(_read(data, may_have=10)) == 1
    with pytest.raises(LimitError, match="more than the allowed 9"):
        _read(data, may_have=9)


def test_a_wrong_checksum() -> None:
    data = bytearray(tar([file("a")]))
    data[0] = ord("b")
    with pytest.raises(LayerError, match="checksum"):
        Header(bytes(data[:BLOCK]))


def test_the_signed_checksum_of_old_programs() -> None:
    data = bytearray(tar([file("a")])[:BLOCK])
    data[0:1] = b"\xe9"
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % (sum(data) - 256)
    assert Header(bytes(data)).name == b"\xe9"


def test_missing_end_marks_are_forgiven() -> None:
    assert len(_read(tar([file("a", b"1")])[: 2 * BLOCK])) == 1


@settings(max_examples=200)
@given(st.binary(max_size=3 * BLOCK), st.integers(0, 4 * BLOCK))
def test_garbage_is_an_error_of_ours_or_a_stream(noise: bytes, position: int) -> None:
    whole = bytearray(tar([with_xattr(file(LONG, b"x" * 700), user_a=b"1"), symlink("s", "t")]))
    whole[position : position + len(noise)] = noise
    with contextlib.suppress(LayerError):
        _read(bytes(whole))
