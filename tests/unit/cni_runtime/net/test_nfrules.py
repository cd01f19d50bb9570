from __future__ import annotations

import struct

import pytest

from cni_runtime.net import codec
from cni_runtime.net.codec import Reply, Request
from cni_runtime.net.netfilter import Subsystem, be64, message
from cni_runtime.net.nfrules import (
    ChainName,
    Expression,
    Rule,
    Verdict,
    comparison,
    delete_rule,
    extension,
    new_rule,
    rule_of,
    verdict,
)

CHAIN = ChainName("ip", "filter", "FORWARD")
COMMENT = extension("comment", 0, b"some words".ljust(256, b"\0"))


def told(request: Request, *more: bytes) -> Rule:
    """The rule as the kernel would tell of it, had it been added."""
    return rule_of(Reply(request.type, 0, 1, request.body + b"".join(more)))


def test_a_rule_comes_back_as_it_was_written_less_its_counter() -> None:
    steps = (*comparison(12, bytes((10, 1, 0, 2))), verdict(Verdict.ACCEPT))
    rule = told(new_rule(CHAIN, steps), be64(3, 77))
    assert (rule.handle, rule.expressions, rule.verdict, rule.target) == (77, steps, Verdict.ACCEPT, "")


def test_a_jump_names_its_target() -> None:
    rule = told(new_rule(CHAIN, (COMMENT, verdict(Verdict.JUMP, "CNI-FORWARD"))))
    assert (rule.verdict, rule.target, rule.comment) == (Verdict.JUMP, "CNI-FORWARD", "some words")
    assert rule.matches("comment")
    assert not rule.matches("conntrack")


def test_a_comment_of_nftables_is_read() -> None:
    userdata = bytes((7, 1, 9)) + bytes((0, 5)) + b"cid1\0"
    assert told(new_rule(CHAIN, (verdict(Verdict.DROP),)), codec.attribute(7, userdata)).comment == "cid1"


@pytest.mark.parametrize(
    "last", [Expression("target", ((1, b"DNAT\0"),)), Expression("immediate"), verdict(Verdict.DROP)]
)
def test_only_a_verdict_is_one(last: Expression) -> None:
    assert (told(new_rule(CHAIN, (last,))).verdict is not None) is (last == verdict(Verdict.DROP))


def test_a_verdict_that_is_not_known_is_none() -> None:
    unknown = Expression(
        "immediate", ((1, bytes(4)), (2, codec.attribute(2, codec.attribute(1, struct.pack(">i", -2)))))
    )
    assert told(new_rule(CHAIN, (unknown,))).verdict is None


def test_a_rule_without_expressions_decides_nothing() -> None:
    assert rule_of(Reply(0, 0, 1, bytes(4))) == Rule(0)


def test_the_first_rule_is_put_before_the_others() -> None:
    step = (verdict(Verdict.ACCEPT),)
    assert new_rule(CHAIN, step).flags & codec.APPEND
    assert not new_rule(CHAIN, step, first=True).flags & codec.APPEND


def test_a_rule_is_deleted_by_its_handle() -> None:
    request = delete_rule(CHAIN, Rule(5))
    assert request.type == Subsystem.NFTABLES << 8 | 8
    assert be64(3, 5) in request.body
    assert request.what == "delete a rule of chain ip filter FORWARD"


def test_messages_name_their_family_first() -> None:
    assert message(Subsystem.CONNTRACK, 1, 10, b"rest") == Request(0x101, b"\x0a\0\0\0rest")
