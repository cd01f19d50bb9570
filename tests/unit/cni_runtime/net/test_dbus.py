from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cni_runtime.net.dbus import Bus, DbusError, Service, encode_call, first_value

ZONES = Service("org.z", "/z", "org.z.zone")


def test_a_call_is_laid_out_as_the_specification_has_it() -> None:
    message = encode_call(7, ZONES, "addSource", ("trusted", "10.1.0.2/32"))
    order, body_size, serial, fields_size = struct.unpack_from("<4sIII", message)
    assert (order, serial) == (b"l\x01\x00\x01", 7)
    body = message[16 + fields_size + -fields_size % 8 :]
    assert body == b"\x07\0\0\0trusted\0" + b"\x0b\0\0\x0010.1.0.2/32\0"
    assert body_size == len(body)
    assert message[16:24] == b"\x01\x01o\0\x02\0\0\0"
    assert b"\x08\x01g\0\x02ss\0" in message


def test_a_call_without_arguments_has_no_signature() -> None:
    assert b"\x08\x01g" not in encode_call(1, ZONES, "Hello", ())


@pytest.mark.parametrize(
    ("signature", "body", "value"),
    [
        ("s", b"\x02\0\0\0ok\0", "ok"),
        ("b", b"\x01\0\0\0", True),
        ("b", b"\0\0\0\0", False),
        ("", b"", None),
        ("u", b"\x01\0\0\0", None),
    ],
)
def test_the_first_value_of_an_answer(signature: str, body: bytes, value: object) -> None:
    assert first_value(signature, body) == value


@contextmanager
def serving(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """A bus that does ``serve`` with its first client."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def accept() -> None:
            client, _ = listener.accept()
            with client:
                serve(client)

        thread = threading.Thread(target=accept)
        thread.start()
        yield
        thread.join()


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'bus'},guid=0")
    return tmp_path / "bus"


def refuse(client: socket.socket) -> None:
    client.recv(100)
    client.sendall(b"REJECTED EXTERNAL\r\n")


def hang_up(client: socket.socket) -> None:
    client.recv(100)


@pytest.mark.parametrize(
    ("serve", "message"), [(refuse, "REJECTED EXTERNAL"), (hang_up, "the bus closed the connection")]
)
def test_a_bus_that_does_not_take_us(address: Path, serve: Callable[[socket.socket], None], message: str) -> None:
    with serving(address, serve), pytest.raises(DbusError, match=message):
        Bus()


def test_a_bus_that_is_not_there(address: Path) -> None:
    with pytest.raises(DbusError, match="connect to D-Bus"):
        Bus()
