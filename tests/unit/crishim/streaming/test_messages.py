"""Messages of WebSockets that carry channels."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crishim.streaming.messages import MAX_CHANNEL, Message, MessageError, Subprotocol, decode, encode

BINARY, TEXT, CLOSING = Subprotocol("v4"), Subprotocol("b64", text=True), Subprotocol("v5", closes=True)
SUBPROTOCOLS = [BINARY, TEXT, CLOSING]


@given(st.sampled_from(SUBPROTOCOLS), st.integers(0, MAX_CHANNEL), st.binary(max_size=100))
def test_messages_come_back(subprotocol: Subprotocol, channel: int, data: bytes) -> None:
    assert decode(subprotocol, encode(subprotocol, channel, data)) == Message(channel, data)


@given(st.sampled_from(SUBPROTOCOLS), st.binary(max_size=50))
def test_anything_is_a_message_or_an_error(subprotocol: Subprotocol, payload: bytes) -> None:
    with suppress(MessageError):
        assert isinstance(decode(subprotocol, payload), Message | None)


EXAMPLES = [
    (BINARY, b"\x01hello", Message(1, b"hello")),
    (TEXT, b"0Zm9v", Message(0, b"foo")),
    (CLOSING, b"\xff\x00", Message(0, closes=True)),
    (BINARY, b"\xff\x00", Message(255, b"\0")),
    (BINARY, b"\x02", Message(2)),
    (BINARY, b"", None),
]


@pytest.mark.parametrize(("subprotocol", "payload", "message"), EXAMPLES)
def test_examples(subprotocol: Subprotocol, payload: bytes, message: Message | None) -> None:
    assert decode(subprotocol, payload) == message


@pytest.mark.parametrize(("subprotocol", "payload"), [(CLOSING, b"\xff"), (CLOSING, b"\xff12"), (TEXT, b"0Zm9")])
def test_messages_that_are_none(subprotocol: Subprotocol, payload: bytes) -> None:
    with pytest.raises(MessageError):
        decode(subprotocol, payload)
