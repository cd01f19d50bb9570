"""Frames as bytes, against those that the library of Kubernetes' clients writes."""

import pytest

from crishim.streaming.spdy.frames import (
    ControlFrame,
    GoAway,
    Headers,
    Ping,
    RstStream,
    Settings,
    SynReply,
    SynStream,
    WindowUpdate,
    data_header,
    encode,
)

BYTES = [
    (SynReply(2, b"block"), "80030002 00000009 00000002 626c6f636b"),
    (SynStream(1, b"block"), "80030001 0000000f 00000001 00000000 0000 626c6f636b"),
    (SynStream(1, b"", fin=True, unidirectional=True), "80030001 0300000a 00000001 00000000 0000"),
    (Headers(3, b"block", fin=True), "80030008 01000009 00000003 626c6f636b"),
    (RstStream(3, 5), "80030003 00000008 00000003 00000005"),
    (Settings({7: 1 << 20}), "80030004 0000000c 00000001 00000007 00100000"),
    (Ping(9), "80030006 00000004 00000009"),
    (GoAway(7, 0), "80030007 00000008 00000007 00000000"),
    (WindowUpdate(1, 65536), "80030009 00000008 00000001 00010000"),
]


@pytest.mark.parametrize(("frame", "expected"), BYTES)
def test_control_frames(frame: ControlFrame, expected: str) -> None:
    assert encode(frame) == bytes.fromhex(expected)


def test_data() -> None:
    assert data_header(1, 2, fin=True) == bytes.fromhex("00000001 01000002")
