"""Routing rules by source address (policy routing). Source: ip-rule(8), include/uapi/linux/fib_rules.h."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from types import ModuleType
from typing import ClassVar

from msgspec import Struct

from cni_runtime.net import codec
from cni_runtime.net.codec import Request
from cni_runtime.net.plan import Place, Where
from cni_runtime.net.rtnl import ROUTE, Rtm
from cni_runtime.net.sockets import NetlinkSocket

_TO_TABLE = 1


class Rule(Struct, frozen=True):
    """Packets from ``source``, one address or empty for any, are routed by ``table``. ``priority`` None: the kernel's.

    A rule for a subnet is one with ``source`` empty here.
    """

    table: int
    source: str = ""
    priority: int | None = None


class AddRule(Struct, frozen=True):
    """A routing rule that is not there yet."""

    name: ClassVar[str] = "add_rule"
    where: ClassVar[Where] = Where.POD
    rule: Rule

    def do(self, place: Place) -> None:
        place.netlink.ask(add_rule(self.rule))

    def undo(self, place: Place) -> None:
        there = ((one.source, one.table) for one in list_rules(place.netlink))
        if (self.rule.source, self.rule.table) in there:
            place.netlink.ask(delete_rule(self.rule))


def add_rule(rule: Rule) -> Request:
    """Add a rule for a source address. EEXIST when it is there."""
    return Request(Rtm.NEWRULE, _body(rule), codec.CREATE | codec.EXCLUSIVE, f"add {_name(rule)}")


def delete_rule(rule: Rule) -> Request:
    """Delete a rule for a source address; ENOENT when it is not there."""
    return Request(Rtm.DELRULE, _body(rule), what=f"delete {_name(rule)}")


def list_rules(netlink: NetlinkSocket) -> tuple[Rule, ...]:
    """The rules of IPv4 and IPv6."""
    found: list[Rule] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        body = ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
        found += (_rule(reply.body) for reply in netlink.ask(Request(Rtm.GETRULE, body, codec.DUMP, "list rules")))
    return tuple(found)


def _body(rule: Rule) -> bytes:
    source = ip_address(rule.source)
    attributes = [("FRA_SRC", str(source)), ("FRA_TABLE", rule.table)]
    if rule.priority is not None:
        attributes.append(("FRA_PRIORITY", rule.priority))
    family, table = (socket.AF_INET, socket.AF_INET6)[source.version == 6], rule.table if rule.table < 256 else 0
    body: bytes = _wire().encode_rule(
        attributes, family=family, src_len=source.max_prefixlen, table=table, action=_TO_TABLE
    )
    return body


def _rule(body: bytes) -> Rule:
    wire = _wire()
    message = wire.decode_rule(body)
    source = wire.attribute(message, "FRA_SRC") or ""
    single = source and message["src_len"] == ip_address(source).max_prefixlen
    table = wire.attribute(message, "FRA_TABLE") or message["table"]
    return Rule(table, source if single else "", wire.attribute(message, "FRA_PRIORITY") or 0)


def _name(rule: Rule) -> str:
    return f"rule for packets from {rule.source} to table {rule.table}"


def _wire() -> ModuleType:
    from cni_runtime.net import pyroute  # noqa: PLC0415  # it says why

    return pyroute
