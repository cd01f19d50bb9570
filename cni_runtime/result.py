"""What a plugin chain gave a container: interfaces, addresses, routes, DNS; and its JSON in every CNI version.

0.1.0 and 0.2.0 know one address per family (``ip4``, ``ip6``, each with its routes) and no interfaces;
0.3.0 to 0.4.0 have lists, and a family ("version") in each address; from 1.0.0 on the family is implied.
Writing an older version leaves out what it cannot say. Source: CNI specification, section "Result types".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from cni_runtime.errors import DecodeError
from cni_runtime.ip import ip_interface, normal_address, normal_interface
from cni_runtime.versions import IMPLIED, at_least, require


class Interface(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A network device. ``sandbox`` is the path of its netns, empty for one on the host; ``mtu`` in bytes."""

    name: str
    mac: str = ""
    mtu: int = 0
    sandbox: str = ""
    socket_path: str = msgspec.field(name="socketPath", default="")
    pci_id: str = msgspec.field(name="pciID", default="")


class IPConfig(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An address in CIDR notation. ``interface`` indexes ``Result.interfaces``; None: not said."""

    address: str
    gateway: str = ""
    interface: int | None = None

    @property
    def family(self) -> int:
        """4 or 6."""
        return ip_interface(self.address).version

    @property
    def ip(self) -> str:
        """The address alone, without its prefix length."""
        return str(ip_interface(self.address).ip)


class Route(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A route; ``dst`` in CIDR notation. 0, empty or None: not said. ``mtu`` and ``advmss`` in bytes."""

    dst: str
    gw: str = ""
    mtu: int = 0
    advmss: int = 0
    priority: int = 0
    table: int | None = None
    scope: int | None = None

    @property
    def family(self) -> int:
        """4 or 6."""
        return ip_interface(self.dst).version


class DNS(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Resolver settings of the network."""

    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class Result(Struct, frozen=True, kw_only=True):
    """The outcome of an ADD, independent of the CNI version it came in."""

    interfaces: tuple[Interface, ...] = ()
    ips: tuple[IPConfig, ...] = ()
    routes: tuple[Route, ...] = ()
    dns: DNS = DNS()


def decode_result(obj: Mapping[str, Any], *, assume: str = IMPLIED) -> Result:
    """The result that ``obj`` states, by the rules of its ``cniVersion``, or of ``assume`` when it has none.

    Raises DecodeError with the path inside the object, VersionError for a version that is not known.
    """
    head = _convert(obj, _Head)
    if at_least(require(head.cni_version or assume), "0.3.0"):
        return _from_lists(_convert(obj, _Lists))
    return _from_families(_convert(obj, _Families))


def encode_result(result: Result, version: str) -> dict[str, Any]:
    """``result`` as a JSON object of CNI ``version``; empty parts are left out. Raises VersionError."""
    body = _to_lists(result, version) if at_least(require(version), "0.3.0") else _to_families(result)
    return _filled({"cniVersion": version, **body, "dns": _plain(result.dns)})


# The objects as they lie in JSON. Null stands for "not said", as it does for the reference implementation.

_Number = Annotated[int, Meta(ge=0, le=2**32 - 1)]
_Index = Annotated[int, Meta(ge=-1, le=2**16)]
_T = TypeVar("_T")


class _Head(Struct, rename="camel"):
    cni_version: str | None = None


class _Dns(Struct):
    nameservers: list[str] | None = None
    domain: str | None = None
    search: list[str] | None = None
    options: list[str] | None = None


class _Route(Struct):
    dst: str
    gw: str | None = None
    mtu: _Number | None = None
    advmss: _Number | None = None
    priority: _Number | None = None
    table: _Number | None = None
    scope: _Number | None = None


class _Interface(Struct):
    name: str
    mac: str | None = None
    mtu: _Number | None = None
    sandbox: str | None = None
    socket_path: str | None = msgspec.field(name="socketPath", default=None)
    pci_id: str | None = msgspec.field(name="pciID", default=None)


class _Address(Struct):
    address: str
    gateway: str | None = None
    interface: _Index | None = None


class _Lists(Struct):
    interfaces: list[_Interface] | None = None
    ips: list[_Address] | None = None
    routes: list[_Route] | None = None
    dns: _Dns | None = None


class _Family(Struct):
    ip: str
    gateway: str | None = None
    routes: list[_Route] | None = None


class _Families(Struct):
    ip4: _Family | None = None
    ip6: _Family | None = None
    dns: _Dns | None = None


def _convert(obj: Mapping[str, Any], kind: type[_T]) -> _T:
    try:
        return msgspec.convert(dict(obj), kind)
    except (msgspec.ValidationError, TypeError, ValueError, RecursionError) as exc:
        raise DecodeError("invalid CNI result", details=str(exc)) from exc


def _from_lists(lists: _Lists) -> Result:
    interfaces = tuple(_interface(item) for item in lists.interfaces or ())
    ips = tuple(_ip_config(item, f"$.ips[{i}]", len(interfaces)) for i, item in enumerate(lists.ips or ()))
    return Result(interfaces=interfaces, ips=ips, routes=_routes(lists.routes, "$.routes"), dns=_dns(lists.dns))


def _from_families(families: _Families) -> Result:
    ips: list[IPConfig] = []
    routes: list[Route] = []
    for key, family in (("ip4", families.ip4), ("ip6", families.ip6)):
        if family is None:
            continue
        ips.append(_family_ip(family, key))
        routes += _routes(family.routes, f"$.{key}.routes")
    return Result(ips=tuple(ips), routes=tuple(routes), dns=_dns(families.dns))


def _family_ip(family: _Family, key: str) -> IPConfig:
    ip = IPConfig(address=_cidr(family.ip, f"$.{key}.ip"), gateway=_address(family.gateway, f"$.{key}.gateway"))
    if ip.family != int(key[-1]):
        raise _unexpected(f"an IPv{key[-1]} address", family.ip, f"$.{key}.ip")
    return ip


def _interface(item: _Interface) -> Interface:
    return Interface(
        name=item.name,
        mac=item.mac or "",
        mtu=item.mtu or 0,
        sandbox=item.sandbox or "",
        socket_path=item.socket_path or "",
        pci_id=item.pci_id or "",
    )


def _ip_config(item: _Address, where: str, interfaces: int) -> IPConfig:
    # The first 0.3.0 plugins wrote -1 for "no interface".
    index = None if item.interface == -1 else item.interface
    if index is not None and index >= interfaces:
        raise _unexpected(f"an index below {interfaces}, the number of interfaces", index, f"{where}.interface")
    return IPConfig(
        address=_cidr(item.address, f"{where}.address"),
        gateway=_address(item.gateway, f"{where}.gateway"),
        interface=index,
    )


def _routes(items: Sequence[_Route] | None, where: str) -> tuple[Route, ...]:
    return tuple(_route(item, f"{where}[{i}]") for i, item in enumerate(items or ()))


def _route(item: _Route, where: str) -> Route:
    return Route(
        dst=_cidr(item.dst, f"{where}.dst"),
        gw=_address(item.gw, f"{where}.gw"),
        mtu=item.mtu or 0,
        advmss=item.advmss or 0,
        priority=item.priority or 0,
        table=item.table,
        scope=item.scope,
    )


def _dns(item: _Dns | None) -> DNS:
    if item is None:
        return DNS()
    return DNS(
        nameservers=tuple(item.nameservers or ()),
        domain=item.domain or "",
        search=tuple(item.search or ()),
        options=tuple(item.options or ()),
    )


def _cidr(text: str, where: str) -> str:
    address, slash, length = text.partition("/")
    if slash and length.isascii() and length.isdigit() and "%" not in address:
        try:
            return normal_interface(text)
        except ValueError:
            pass
    raise _unexpected("an address in CIDR notation", text, where)


def _address(text: str | None, where: str) -> str:
    if not text:
        return ""
    try:
        if "%" not in text:
            return normal_address(text)
    except ValueError:
        pass
    raise _unexpected("an IP address", text, where)


def _unexpected(expected: str, found: object, where: str) -> DecodeError:
    return DecodeError("invalid CNI result", details=f"Expected {expected}, got {repr(found)[:80]} - at `{where}`")


def _to_lists(result: Result, version: str) -> dict[str, Any]:
    modern = at_least(version, "1.0.0")
    return {
        "interfaces": [_interface_object(interface, modern=modern) for interface in result.interfaces],
        "ips": [_ip_object(ip, modern=modern) for ip in result.ips],
        "routes": _plain(result.routes),
    }


def _interface_object(interface: Interface, *, modern: bool) -> dict[str, Any]:
    body: dict[str, Any] = _plain(interface)
    return body if modern else {key: body[key] for key in ("name", "mac", "sandbox") if key in body}


def _ip_object(ip: IPConfig, *, modern: bool) -> dict[str, Any]:
    body: dict[str, Any] = _plain(ip)
    return body if modern else {"version": str(ip.family), **body}


def _to_families(result: Result) -> dict[str, Any]:
    families: dict[str, Any] = {}
    for ip in result.ips:
        routes = [_filled({"dst": r.dst, "gw": r.gw}) for r in result.routes if r.family == ip.family]
        families.setdefault(f"ip{ip.family}", _filled({"ip": ip.address, "gateway": ip.gateway, "routes": routes}))
    return families


def _filled(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value}


def _plain(value: object) -> Any:
    """``value`` as JSON has it: lists for tuples, defaults left out."""
    return msgspec.json.decode(msgspec.json.encode(value))
