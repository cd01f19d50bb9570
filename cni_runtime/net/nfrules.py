"""Chains and rules of nf_tables as the kernel keeps them, those of iptables included.

The language of nftables can neither say nor show the extensions that rules of iptables are made of, and lists a whole
table to show one chain. Here a rule is its list of expressions, so that one can be written which iptables reads as its
own, and one that iptables wrote can be found and deleted. The requests are pure.
Source: include/uapi/linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct

from cni_runtime.net import codec
from cni_runtime.net.codec import Reply, Request
from cni_runtime.net.netfilter import NetfilterSocket, Subsystem, be64, found_in, message, number
from cni_runtime.net.sockets import NetlinkError

FAMILIES = {"ip": socket.AF_INET, "ip6": socket.AF_INET6}
TABLE_FAMILIES = FAMILIES | {"inet": 1}
_COMMENT_UDATA = 0


class _Msg(IntEnum):
    NEW_CHAIN = 3
    GET_CHAIN = 4
    DELETE_CHAIN = 5
    NEW_RULE = 6
    GET_RULE = 7
    DELETE_RULE = 8


class _Rule(IntEnum):
    TABLE = 1
    CHAIN = 2
    HANDLE = 3
    EXPRESSIONS = 4
    USERDATA = 7


class _Chain(IntEnum):
    TABLE = 1
    NAME = 3
    POLICY = 5


class Verdict(IntEnum):
    """What a rule decides, as a signed number."""

    DROP = 0
    ACCEPT = 1
    JUMP = -3
    GOTO = -4
    RETURN = -5


_DECISIONS = frozenset(Verdict)
_NOTHING = struct.pack(">i", -1)


class ChainName(NamedTuple):
    """Which chain: ``family`` is ip or ip6."""

    family: str
    table: str
    chain: str

    def __str__(self) -> str:
        return " ".join(self)


class Expression(Struct, frozen=True):
    """One step of a rule: its kind, and its attributes by number in ascending order."""

    kind: str
    attributes: tuple[tuple[int, bytes], ...] = ()

    def get(self, attribute: int) -> bytes:
        """The value of an attribute, empty when it is not there."""
        return dict(self.attributes).get(attribute, b"")


class Rule(Struct, frozen=True):
    """A rule of a chain. ``comment`` is one of iptables or of nftables; counters are left out of ``expressions``."""

    handle: int
    expressions: tuple[Expression, ...] = ()
    comment: str = ""

    @property
    def verdict(self) -> Verdict | None:
        """What it decides at its end, None when nothing."""
        decision = struct.unpack(">i", _verdict(self).get(1, _NOTHING))[0]
        return Verdict(decision) if decision in _DECISIONS else None

    @property
    def target(self) -> str:
        """The chain it jumps to, or empty."""
        return codec.get_text(_verdict(self), 2)

    def matches(self, extension: str) -> bool:
        """Whether it has a match of this extension of iptables."""
        return any(step.kind == "match" and _plain(step.get(1)) == extension for step in self.expressions)


def chain_policy(netfilter: NetfilterSocket, chain: ChainName) -> Verdict | None:
    """What happens to packets that a chain does not decide on; None: there is no such chain. Raises OSError."""
    body = codec.text(_Chain.TABLE, chain.table) + codec.text(_Chain.NAME, chain.chain)
    try:
        reply = netfilter.ask(_message(_Msg.GET_CHAIN, chain, body, what=f"get chain {chain}"))[0]
    except NetlinkError as exc:
        if exc.errno == errno.ENOENT:
            return None
        raise
    found = found_in(reply.body)
    # A chain without a hook has no policy: what comes to its end goes on where it came from.
    return Verdict(number(found, _Chain.POLICY)) if _Chain.POLICY in found else Verdict.RETURN


def chain_rules(netfilter: NetfilterSocket, chain: ChainName, *, containing: bytes = b"") -> tuple[Rule, ...]:
    """The rules of a chain that contain some bytes, in order; none when it is not there. Raises OSError.

    Understanding a rule takes 50 microseconds, so whoever looks for a few of many should say what is in them.
    """
    body = _place(chain)
    replies = netfilter.ask(_message(_Msg.GET_RULE, chain, body, flags=codec.DUMP, what=f"list chain {chain}"))
    return tuple(rule_of(reply) for reply in replies if containing in reply.body)


def count_rules(netfilter: NetfilterSocket, family: str, table: str) -> int:
    """How many rules a table has, ``family`` being ip, ip6 or inet; 0 when it is not there. Raises OSError."""
    body = codec.text(_Rule.TABLE, table)
    what = f"list table {family} {table}"
    request = message(Subsystem.NFTABLES, _Msg.GET_RULE, TABLE_FAMILIES[family], body, flags=codec.DUMP, what=what)
    return len(netfilter.ask(request))


def jumps(netfilter: NetfilterSocket, chain: ChainName, target: str) -> tuple[Rule, ...]:
    """The rules of a chain that jump to another one. Raises OSError."""
    rules = chain_rules(netfilter, chain, containing=target.encode() + b"\0")
    return tuple(rule for rule in rules if rule.target == target)


def rule_of(reply: Reply) -> Rule:
    """The rule that a message tells of."""
    found = found_in(reply.body)
    steps = tuple(_expression(value) for _, value in codec.each_attribute(found.get(_Rule.EXPRESSIONS, b"")))
    comments = (_plain(step.get(3)) for step in steps if step.kind == "match" and _plain(step.get(1)) == "comment")
    comment = next(comments, "") or _userdata_comment(found.get(_Rule.USERDATA, b""))
    return Rule(number(found, _Rule.HANDLE), tuple(step for step in steps if step.kind != "counter"), comment)


def new_chain(chain: ChainName) -> Request:
    """Make a chain without a hook; one that is there is as good."""
    body = codec.text(_Chain.TABLE, chain.table) + codec.text(_Chain.NAME, chain.chain)
    return _message(_Msg.NEW_CHAIN, chain, body, flags=codec.CREATE, what=f"add chain {chain}")


def delete_chain(chain: ChainName) -> Request:
    """Delete a chain, which must be empty and not be jumped to."""
    body = codec.text(_Chain.TABLE, chain.table) + codec.text(_Chain.NAME, chain.chain)
    return _message(_Msg.DELETE_CHAIN, chain, body, what=f"delete chain {chain}")


def flush_chain(chain: ChainName) -> Request:
    """Delete all rules of a chain."""
    return _message(_Msg.DELETE_RULE, chain, _place(chain), what=f"flush chain {chain}")


def new_rule(chain: ChainName, expressions: tuple[Expression, ...], *, first: bool = False) -> Request:
    """Add a rule at the end of a chain, or as its first one; a counter is put before its verdict."""
    counter = Expression("counter", ((1, bytes(8)), (2, bytes(8))))
    steps = (*expressions[:-1], counter, expressions[-1])
    body = _place(chain) + codec.nested(_Rule.EXPRESSIONS, *(_encoded(step) for step in steps))
    flags = codec.CREATE | (0 if first else codec.APPEND)
    return _message(_Msg.NEW_RULE, chain, body, flags=flags, what=f"add a rule to chain {chain}")


def delete_rule(chain: ChainName, rule: Rule) -> Request:
    """Delete a rule."""
    body = _place(chain) + be64(_Rule.HANDLE, rule.handle)
    return _message(_Msg.DELETE_RULE, chain, body, what=f"delete a rule of chain {chain}")


def verdict(decision: Verdict, target: str = "") -> Expression:
    """The last step of a rule."""
    members = codec.attribute(1, struct.pack(">i", decision)) + (codec.text(2, target) if target else b"")
    return Expression("immediate", ((1, bytes(4)), (2, codec.attribute(2, members))))


def extension(name: str, revision: int, information: bytes) -> Expression:
    """A match of an extension of iptables; ``information`` is its C structure."""
    return Expression("match", ((1, name.encode() + b"\0"), (2, struct.pack(">I", revision)), (3, information)))


def comparison(offset: int, value: bytes) -> tuple[Expression, Expression]:
    """The bytes at ``offset`` of the network header are ``value``."""
    register, network_header, equal = 1, 1, 0
    load = (register, network_header, offset, len(value))
    numbered = tuple((at, struct.pack(">I", part)) for at, part in enumerate(load, 1))
    compare = ((1, struct.pack(">I", register)), (2, struct.pack(">I", equal)), (3, codec.attribute(1, value)))
    return Expression("payload", numbered), Expression("cmp", compare)


def _message(kind: _Msg, chain: ChainName, body: bytes, *, flags: int = 0, what: str) -> Request:
    return message(Subsystem.NFTABLES, kind, FAMILIES[chain.family], body, flags=flags, what=what)


def _place(chain: ChainName) -> bytes:
    return codec.text(_Rule.TABLE, chain.table) + codec.text(_Rule.CHAIN, chain.chain)


def _expression(data: bytes) -> Expression:
    found = codec.attributes(data)
    members = sorted(codec.attributes(found.get(2, b"")).items())
    return Expression(_plain(found.get(1, b"")), tuple(members))


def _encoded(step: Expression) -> bytes:
    members = (codec.attribute(kind, value) for kind, value in step.attributes)
    return codec.nested(1, codec.text(1, step.kind), codec.nested(2, *members))


def _verdict(rule: Rule) -> dict[int, bytes]:
    last = rule.expressions[-1] if rule.expressions else Expression("")
    return codec.attributes(codec.attributes(last.get(2)).get(2, b"")) if last.kind == "immediate" else {}


def _userdata_comment(data: bytes) -> str:
    """The comment that nft keeps in a rule: entries of type, length and value."""
    while len(data) >= 2:
        kind, length = data[0], data[1]
        if kind == _COMMENT_UDATA:
            return _plain(data[2 : 2 + length])
        data = data[2 + length :]
    return ""


def _plain(data: bytes) -> str:
    return data.split(b"\0")[0].decode(errors="replace")
