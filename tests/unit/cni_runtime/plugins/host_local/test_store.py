from __future__ import annotations

import fcntl
import os
from ipaddress import ip_address
from pathlib import Path

import pytest

from cni_runtime.errors import CniError, ErrorCode
from cni_runtime.plugins.host_local.store import Boot, Holder, Store

ME, OTHER = Holder("me", "eth0"), Holder("other", "eth0")
A, B = ip_address("10.1.0.2"), ip_address("fd00::2")
BOOT = Boot("this", 0.0)


def store_in(directory: Path, boot: Boot = BOOT) -> Store:
    return Store(directory, lock_timeout=0.05, boot=boot)


def test_a_reservation_has_the_form_that_others_know(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with store.locked():
        store.reserve(A, ME, 0)
        store.reserve(B, ME, 1)
    assert (tmp_path / "10.1.0.2").read_bytes() == b"me\r\neth0"
    assert (tmp_path / "fd00::2").read_bytes() == b"me\r\neth0"
    assert (tmp_path / "last_reserved_ip.1").read_bytes() == b"fd00::2"
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_reservation_is_made_once(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with store.locked():
        store.reserve(A, ME, 0)
        with pytest.raises(FileExistsError):
            store.reserve(A, OTHER, 0)
        assert store.of(ME) == [A]


def test_what_another_process_does_is_seen(tmp_path: Path) -> None:
    store, theirs = store_in(tmp_path), store_in(tmp_path)
    with store.locked():
        store.reserve(A, ME, 0)
    with theirs.locked():
        theirs.release(ME)
        theirs.reserve(B, OTHER, 1)
    with store.locked():
        assert store.reserved() == {B: OTHER}


def test_a_file_that_was_replaced_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with store.locked():
        store.reserve(A, ME, 0)
    (tmp_path / str(A)).write_bytes(b"other\r\neth0")
    with store.locked():
        store.release(OTHER)
    assert not (tmp_path / str(A)).exists()


def test_an_address_that_is_anothers_by_now_is_not_released(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with store.locked():
        store.reserve(A, ME, 0)
    (tmp_path / str(A)).write_bytes(b"other\r\neth0")  # as a file that got the same inode number again
    with store.locked():
        store.release(ME)
        assert store.reserved() == {A: OTHER}
    assert (tmp_path / str(A)).exists()


@pytest.mark.parametrize(
    ("content", "owner"),
    [(b"me\r\neth0", True), (b"me", True), (b"me\n", True), (b"me\r\neth1", False), (b"mein", False), (b"", False)],
)
def test_whose_file_it_is(tmp_path: Path, content: bytes, owner: bool) -> None:
    (tmp_path / str(A)).write_bytes(content)
    store = store_in(tmp_path)
    with store.locked():
        assert (store.of(ME) == [A]) is owner
        store.release(ME)
    assert (tmp_path / str(A)).exists() is not owner


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("notes", "10.1.0.300", "lock"):
        (tmp_path / name).write_bytes(b"me\r\neth0")
    store = store_in(tmp_path)
    with store.locked():
        store.keep_only(frozenset())
    assert {"notes", "10.1.0.300", "lock"} <= {path.name for path in tmp_path.iterdir()}


def test_gc_keeps_the_valid_ones(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with store.locked():
        store.reserve(A, ME, 0)
        store.reserve(B, OTHER, 0)
        store.keep_only(frozenset({("me", "eth0")}))
        assert store.reserved() == {A: ME}


@pytest.mark.parametrize(("age", "kept"), [(100, False), (-100, True)])
def test_addresses_of_an_earlier_boot_are_released(tmp_path: Path, age: int, kept: bool) -> None:
    (tmp_path / str(A)).write_bytes(b"me\r\neth0")
    os.utime(tmp_path / str(A), (1000, 1000))
    with store_in(tmp_path, Boot("next", 1000.0 + age)).locked():
        assert (tmp_path / str(A)).exists() is kept


def test_within_a_boot_nothing_is_released_whatever_the_clock_says(tmp_path: Path) -> None:
    with store_in(tmp_path).locked():
        (tmp_path / str(A)).write_bytes(b"me\r\neth0")
    with store_in(tmp_path, Boot("this", 1e12)).locked():
        assert (tmp_path / str(A)).exists()


def test_the_holder_of_the_lock_is_named(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(CniError, match=rf"locked by process {os.getpid()} \(.+\)") as caught, store.locked():
            pass
    assert caught.value.code == ErrorCode.TRY_AGAIN_LATER
    with store.locked():
        pass


def test_the_last_address_is_a_hint(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for content, expected in ((b"", None), (b"nonsense", None), (b"10.1.0.2\n", A)):
        (tmp_path / "last_reserved_ip.0").write_bytes(content)
        assert store.last(0) == expected
    assert store.last(1) is None
