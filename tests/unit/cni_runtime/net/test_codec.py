import struct

import pytest

from cni_runtime.net import codec
from cni_runtime.net.codec import Reply, Request


def test_attributes_survive_the_way_there_and_back() -> None:
    data = codec.text(3, "eth0") + codec.u32(4, 1500) + codec.nested(18, codec.u8(1, 7))
    found = codec.attributes(data)
    assert (codec.get_text(found, 3), codec.get_u32(found, 4)) == ("eth0", 1500)
    assert codec.attributes(found[18]) == {1: b"\7"}


@pytest.mark.parametrize("size", range(9))
def test_every_attribute_ends_on_four_bytes(size: int) -> None:
    assert len(codec.attribute(1, bytes(size))) == (4 + size + 3) // 4 * 4


def test_a_mac_is_six_bytes() -> None:
    assert codec.attributes(codec.mac(1, "02:00:0a:0b:0c:ff")) == {1: b"\x02\x00\x0a\x0b\x0c\xff"}


def test_a_request_asks_for_an_acknowledgement() -> None:
    (reply,) = codec.decode(codec.encode(Request(16, b"body", codec.CREATE), 7))
    assert reply == Reply(16, codec.CREATE | codec.REQUEST | codec.ACK, 7, b"body")


def test_datagrams_hold_several_messages() -> None:
    data = codec.encode(Request(1, b"x"), 1) + codec.encode(Request(2, b""), 2)
    assert [(reply.type, reply.sequence) for reply in codec.decode(data)] == [(1, 1), (2, 2)]


@pytest.mark.parametrize("data", [b"", b"\1\2\3", b"\0" * 8, b"\2\0\1\0", struct.pack("=IHHII", 4, 1, 0, 1, 0)])
def test_garbage_ends(data: bytes) -> None:
    assert codec.attributes(data) in ({}, {0: b""})
    assert len(list(codec.decode(data))) <= 1


def test_an_error_has_the_kernels_words() -> None:
    quoted = struct.pack("=IHHII", 20, 16, 0, 1, 0) + b"body"
    words = codec.text(1, "no such thing")
    reply = Reply(codec.ERROR, 0x200, 1, struct.pack("=i", -19) + quoted + words)
    assert codec.error_of(reply) == (19, "no such thing")


def test_an_acknowledgement_is_no_error() -> None:
    reply = Reply(codec.ERROR, 0x100, 1, struct.pack("=i", 0) + bytes(16))
    assert codec.error_of(reply) == (0, "")
