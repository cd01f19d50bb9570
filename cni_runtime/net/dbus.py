"""One call to a service on the system's D-Bus, as far as firewalld needs it: strings in, a string or truth value out.

Written here since it is a page, and a library would be one more thing to install on every node for the few that
have firewalld. Blocks for milliseconds. Source: D-Bus specification, sections "Authentication Protocol", "Message
Protocol" and "Marshaling".
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

_SOCKET = "/run/dbus/system_bus_socket"
_TIMEOUT = 5.0  # seconds; firewalld takes tenths of one to change a zone
_CALL, _RETURN, _ERROR = 1, 2, 3
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SIGNATURE = 1, 2, 3, 4, 5, 6, 8
_FIXED = struct.Struct("<4sIII")  # byte order, type, flags and version; body's length; serial; header fields' length
_BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")


class DbusError(OSError):
    """The bus or the service refused a call, or is not there; the text is theirs."""


class Service(NamedTuple):
    """An interface of an object of a service."""

    name: str
    path: str
    interface: str


class Bus:
    """A connection to the system's bus. Not to be used by two threads at once."""

    def __init__(self) -> None:
        """Raises DbusError."""
        self._serial = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.settimeout(_TIMEOUT)
            self._socket.connect(_address())
            self._authenticate()
            self.call(Service(*_BUS), "Hello")
        except BaseException as exc:
            self._socket.close()
            if isinstance(exc, OSError) and not isinstance(exc, DbusError):
                raise DbusError(f"connect to D-Bus: {exc}") from exc
            raise

    def __enter__(self) -> Bus:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def has(self, name: str) -> bool:
        """Whether somebody has this name on the bus."""
        return self.call(Service(*_BUS), "NameHasOwner", name) is True

    def call(self, service: Service, method: str, *arguments: str) -> str | bool | None:
        """Call a method with strings; the first value of the answer. Raises DbusError."""
        self._serial += 1
        try:
            self._socket.sendall(encode_call(self._serial, service, method, arguments))
            while True:
                kind, fields, body = self._receive()
                if fields.get(_REPLY_SERIAL) == self._serial and kind in (_RETURN, _ERROR):
                    break
        except OSError as exc:
            raise DbusError(f"{service.interface}.{method}: {exc}") from exc
        value = first_value(str(fields.get(_SIGNATURE, "")), body)
        if kind == _ERROR:
            raise DbusError(f"{service.interface}.{method}: {value or fields.get(_ERROR_NAME)}")
        return value

    def _authenticate(self) -> None:
        identity = str(os.getuid()).encode().hex()
        self._socket.sendall(b"\0AUTH EXTERNAL " + identity.encode() + b"\r\n")
        answer = b""
        while not answer.endswith(b"\r\n"):
            answer += self._exactly(1)
        if not answer.startswith(b"OK "):
            raise DbusError(f"authenticate to D-Bus: {answer.decode(errors='replace').strip()}")
        self._socket.sendall(b"BEGIN\r\n")

    def _receive(self) -> tuple[int, dict[int, str | int], bytes]:
        """Type, header fields and body of the next message."""
        order, length, _, fields = _FIXED.unpack(self._exactly(_FIXED.size))
        if order[:1] != b"l":
            raise DbusError("a message in an unexpected byte order")
        header = self._exactly(fields + -fields % 8)[:fields]
        return order[1], dict(_fields(header)), self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self._socket.recv(size - len(data))
            if not chunk:
                raise DbusError("the bus closed the connection")
            data += chunk
        return data


def encode_call(serial: int, service: Service, method: str, arguments: tuple[str, ...]) -> bytes:
    """A method call with strings as its arguments. Pure."""
    fields = b""
    texts = ((_PATH, "o", service.path), (_DESTINATION, "s", service.name), (_INTERFACE, "s", service.interface))
    for kind, signature, text in (*texts, (_MEMBER, "s", method)):
        fields = _aligned(fields, 8) + bytes((kind,)) + _signature(signature) + _string(text)
    if arguments:
        fields = _aligned(fields, 8) + bytes((_SIGNATURE,)) + _signature("g") + _signature("s" * len(arguments))
    body = b""
    for argument in arguments:
        body = _aligned(body, 4) + _string(argument)
    return _FIXED.pack(b"l\x01\x00\x01", len(body), serial, len(fields)) + _aligned(fields, 8) + body


def first_value(signature: str, body: bytes) -> str | bool | None:
    """The first value of a body when it is a string or a truth value, else None. Pure."""
    if signature.startswith("s"):
        return _read_string(body, 0)[0]
    if signature.startswith("b"):
        return bool(struct.unpack_from("<I", body)[0])
    return None


def _fields(header: bytes) -> Iterator[tuple[int, str | int]]:
    """Header fields of the types that the specification has for them: strings, signatures and numbers."""
    at = 0
    while at < len(header):
        at += -at % 8
        kind, signature = header[at], header[at + 2 : at + 3]
        at += 4
        if signature == b"g":
            length = header[at]
            yield kind, header[at + 1 : at + 1 + length].decode()
            at += length + 2
        elif signature == b"u":
            yield kind, struct.unpack_from("<I", header, at)[0]
            at += 4
        else:
            text, at = _read_string(header, at)
            yield kind, text


def _read_string(data: bytes, at: int) -> tuple[str, int]:
    """A string and where it ends."""
    (length,) = struct.unpack_from("<I", data, at)
    end = at + 4 + length
    return data[at + 4 : end].decode(errors="replace"), end + 1


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<I", len(data)) + data + b"\0"


def _signature(text: str) -> bytes:
    return bytes((len(text),)) + text.encode() + b"\0"


def _aligned(data: bytes, size: int) -> bytes:
    return data + bytes(-len(data) % size)


def _address() -> str:
    """Where the bus listens: a path out of the usual variable, or the usual path."""
    found = re.search(r"(?:^|;)unix:path=([^;,]+)", os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", ""))
    return found[1] if found else _SOCKET
