"""From bytes to frames, however they are cut; and bytes that are no frames."""

from collections.abc import Iterable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crishim.streaming.spdy.frames import (
    MAX_LENGTH,
    ControlFrame,
    Data,
    Frame,
    GoAway,
    Headers,
    Ping,
    ProtocolError,
    RstStream,
    Settings,
    SynReply,
    SynStream,
    WindowUpdate,
    data_header,
    encode,
)
from crishim.streaming.spdy.parser import CONTROL_LIMIT, FrameParser

ids = st.integers(1, (1 << 31) - 1)
numbers = st.integers(0, (1 << 31) - 1)
blocks = st.binary(max_size=50)
frames: st.SearchStrategy[Frame] = st.one_of(
    st.builds(Data, ids, st.binary(max_size=100), st.booleans()),
    st.builds(SynStream, ids, blocks, st.booleans(), st.booleans()),
    st.builds(SynReply, ids, blocks, st.booleans()),
    st.builds(Headers, ids, blocks, st.booleans()),
    st.builds(RstStream, ids, numbers),
    st.builds(Settings, st.dictionaries(st.integers(0, MAX_LENGTH), numbers, max_size=4)),
    st.builds(Ping, numbers),
    st.builds(GoAway, numbers, numbers),
    st.builds(WindowUpdate, numbers, numbers),
)


def to_bytes(frame: Frame) -> bytes:
    return (
        data_header(frame.stream_id, len(frame.data), fin=frame.fin) + frame.data
        if isinstance(frame, Data)
        else encode(frame)
    )


def parse(data: bytes, size: int) -> list[Frame]:
    parser = FrameParser()
    return [frame for start in range(0, len(data), size) for frame in parser.feed(data[start : start + size])]


def joined(parsed: Iterable[Frame]) -> list[Frame]:
    """Put together the parts of data frames; for the test, frames of other types lie between them."""
    whole: list[Frame] = []
    for frame in parsed:
        last = whole[-1] if whole else None
        if isinstance(frame, Data) and isinstance(last, Data):
            whole[-1] = Data(frame.stream_id, last.data + frame.data, frame.fin)
        else:
            whole.append(frame)
    return whole


@given(st.lists(frames), st.integers(1, 200))
def test_frames_come_back_however_they_are_cut(sent: list[Frame], size: int) -> None:
    separated = [frame for one in sent for frame in (one, Ping(1))]
    assert joined(parse(b"".join(map(to_bytes, separated)), size)) == separated


@given(st.binary(max_size=300), st.integers(1, 50))
def test_anything_is_frames_or_an_error(data: bytes, size: int) -> None:
    with suppress(ProtocolError):
        assert isinstance(parse(data, size), list)


@given(st.lists(frames, min_size=1, max_size=3), st.data())
def test_damaged_frames_are_frames_or_an_error(sent: list[Frame], data: st.DataObject) -> None:
    raw = bytearray(b"".join(map(to_bytes, sent)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(ProtocolError):
        assert isinstance(parse(bytes(raw), 7), list)


WRONG = [
    ("80020006 00000004 00000001", "SPDY version 2"),
    ("80030001 00010001", f"{CONTROL_LIMIT + 1} bytes"),
    ("80030001 00000004 00000001", "type 1 with 4 bytes"),
    ("80030006 00000000", "type 6 with 0 bytes"),
    ("80030006 00000005 0000000100", "type 6 with 5 bytes"),
    ("80030004 00000004 00000002", "2 settings in 4 bytes"),
    ("80030003 00000008 00000000 00000001", "without a stream"),
    ("00000000 00000001 00", "data without a stream"),
]


@pytest.mark.parametrize(("data", "message"), WRONG)
def test_wrong_frames(data: str, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        parse(bytes.fromhex(data), 1000)


def test_unknown_types_are_passed_over() -> None:
    unknown = bytes.fromhex("8003000a 00000003 010203")
    assert parse(unknown + encode(Ping(3)), 5) == [Ping(3)]


def test_a_long_frame_is_passed_on_as_it_comes() -> None:
    parser = FrameParser()
    assert list(parser.feed(data_header(1, MAX_LENGTH, fin=True))) == []
    assert list(parser.feed(b"abc")) == [Data(1, b"abc")]


def test_unused_bits_are_ignored() -> None:
    frame: ControlFrame = WindowUpdate(1, 2)
    assert parse(bytes.fromhex("80030009 00000008 80000001 80000002"), 100) == [frame]
