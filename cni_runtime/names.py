"""Rules for the names that reach a plugin, a file name or the kernel; each function returns what it accepts.

Source: CNI specification 1.1.0, section 2 "Parameters"; for interfaces, the kernel's ``dev_valid_name``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from cni_runtime.errors import CniError, ConfigError, ErrorCode

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]*")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_MAC_WITH_DOTS = re.compile(r"[0-9a-f]{4}(\.[0-9a-f]{4}){2}")
_MAX_FILE_NAME = 255
_MAX_INTERFACE = 15


def network_name(name: str) -> str:
    """A network's name; raises ConfigError."""
    if not _NAME.fullmatch(name):
        expected = "a letter or digit, then letters, digits, '_', '.' or '-'"
        raise ConfigError(f"invalid network name {name[:80]!r}, expected {expected}")
    return name


def plugin_type(name: str) -> str:
    """A plugin's type, which is the name of an executable; raises ConfigError."""
    plain = name.isprintable() and not any(char in "/\\" for char in name)
    if not plain or name in ("", ".", "..") or len(name.encode()) > _MAX_FILE_NAME:
        raise ConfigError(f"invalid plugin type {name[:80]!r}, expected a file name without a path")
    return name


def container_id(name: str) -> str:
    """A container ID; raises CniError (UNKNOWN_CONTAINER when empty, else INVALID_ENVIRONMENT)."""
    if not name:
        raise CniError("missing container ID", code=ErrorCode.UNKNOWN_CONTAINER)
    if not _NAME.fullmatch(name):
        raise _environment(f"invalid characters in container ID {name[:80]!r}")
    return name


def interface_name(name: str) -> str:
    """A network interface's name; raises CniError."""
    if not name or name in (".", ".."):
        raise _environment(f"invalid interface name {name!r}")
    if len(name.encode(errors="surrogatepass")) > _MAX_INTERFACE:
        raise _environment(f"interface name {name[:80]!r} is longer than {_MAX_INTERFACE} bytes")
    if any(char in "/:\0" or char.isspace() or "\ud800" <= char <= "\udfff" for char in name):
        raise _environment(f"interface name {name!r} holds '/', ':', white space or bytes that are not UTF-8")
    return name


def mac_address(text: str) -> str:
    """A MAC address as aa:bb:cc:dd:ee:ff, out of that, aa-bb-cc-dd-ee-ff or aabb.ccdd.eeff. Raises ConfigError."""
    mac = text.lower().replace("-", ":")
    if _MAC_WITH_DOTS.fullmatch(mac):
        mac = bytes.fromhex(mac.replace(".", "")).hex(":")
    if not _MAC.fullmatch(mac):
        raise ConfigError(f"expected a MAC address, got {text[:80]!r}")
    return mac


def generic_args(args: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Pairs for ``CNI_ARGS``, whose form (``K=V;K=V``) has no way to quote; raises CniError."""
    pairs = tuple(args)
    for key, value in pairs:
        if not key or any(char in ";=\0" for char in key + value):
            raise _environment(f"invalid CNI_ARGS pair {key!r}={value!r}: no ';', '=' or NUL can be in it")
    return pairs


def parse_args(text: str) -> tuple[tuple[str, str], ...]:
    """The pairs of ``CNI_ARGS`` (``K=V;K=V``), whose values may be empty; raises CniError."""
    return tuple(_pair(pair) for pair in text.split(";") if pair)


def _pair(pair: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not key or not equals or "=" in value:
        raise _environment(f"invalid CNI_ARGS pair {pair[:80]!r}, expected K=V")
    return key, value


def _environment(message: str) -> CniError:
    return CniError(message, code=ErrorCode.INVALID_ENVIRONMENT)
