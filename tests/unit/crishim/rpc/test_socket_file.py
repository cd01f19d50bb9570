"""Who may take the place of the socket file, and who may remove it."""

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from crishim.core.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError
from crishim.rpc.socket_file import publish


@pytest.fixture
def address() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="crishim-") as directory:
        yield Path(directory) / "run" / "crishim.sock"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        yield made


def leave_stale_socket(path: Path) -> int:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(os.fspath(path))
    return path.stat().st_ino


def bind_with(server: socket.socket, path: Path) -> None:
    server.bind(os.fspath(path))
    server.listen()


def test_published_with_its_mode_and_nothing_beside_it(address: Path, listener: socket.socket) -> None:
    publish(address, lambda path: bind_with(listener, path))
    assert stat.filemode(address.stat().st_mode) == "srw-rw----"
    assert list(address.parent.iterdir()) == [address]


def test_stale_socket_is_replaced(address: Path, listener: socket.socket) -> None:
    address.parent.mkdir()
    stale = leave_stale_socket(address)
    publish(address, lambda path: bind_with(listener, path))
    assert address.stat().st_ino != stale


def test_live_socket_is_refused(address: Path, listener: socket.socket) -> None:
    address.parent.mkdir()
    bind_with(listener, address)
    with pytest.raises(AlreadyExistsError, match="another server listens there"):
        publish(address, lambda path: pytest.fail("bound"))


def test_other_file_is_refused_and_kept(address: Path) -> None:
    address.parent.mkdir()
    address.write_text("mine")
    with pytest.raises(FailedPreconditionError, match="is not a socket"):
        publish(address, lambda path: pytest.fail("bound"))
    assert address.read_text() == "mine"


def test_path_too_long(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="longer than the 107 bytes"):
        publish(tmp_path / ("x" * 100), lambda path: pytest.fail("bound"))


def test_removed_when_it_is_ours(address: Path, listener: socket.socket) -> None:
    publish(address, lambda path: bind_with(listener, path)).remove()
    assert not address.exists()


def test_kept_when_it_is_another_servers(address: Path, listener: socket.socket) -> None:
    published = publish(address, lambda path: bind_with(listener, path))
    address.rename(address.with_suffix(".old"))
    leave_stale_socket(address)
    published.remove()
    assert address.exists()


def test_removing_a_missing_file_is_nothing(address: Path, listener: socket.socket) -> None:
    published = publish(address, lambda path: bind_with(listener, path))
    address.unlink()
    published.remove()
