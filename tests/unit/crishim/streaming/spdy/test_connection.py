"""One side of a connection: what it answers to what, and the rules it holds a peer to."""

import pytest

from crishim.core.errors import FailedPreconditionError
from crishim.streaming.spdy import events
from crishim.streaming.spdy.connection import Connection
from crishim.streaming.spdy.frames import (
    ControlFrame,
    Data,
    Frame,
    GoAway,
    GoAwayStatus,
    Headers,
    Ping,
    ProtocolError,
    ResetStatus,
    RstStream,
    Settings,
    SynReply,
    SynStream,
    WindowUpdate,
    data_header,
    encode,
)
from crishim.streaming.spdy.headers import HeaderCompressor
from crishim.streaming.spdy.parser import FrameParser
from crishim.streaming.spdy.windows import CONNECTION_WINDOW, INITIAL_WINDOW, STREAM_WINDOW


class Peer:
    """Talks to a server in frames."""

    def __init__(self, max_streams: int = 1000) -> None:
        self.server = Connection(max_streams=max_streams)
        self._compressor, self._parser = HeaderCompressor(), FrameParser()
        self.put(Ping(2))
        self.greeting = self.got()

    def put(self, frame: ControlFrame) -> list[events.Event]:
        return list(self.server.receive(encode(frame)))

    def put_data(self, stream_id: int, data: bytes, *, fin: bool = False) -> list[events.Event]:
        return list(self.server.receive(data_header(stream_id, len(data), fin=fin) + data))

    def open(self, stream_id: int, **more: bool) -> list[events.Event]:
        return self.put(SynStream(stream_id, self._compressor.compress({"kind": "test"}), **more))

    def got(self) -> list[Frame]:
        """What the server has sent since."""
        return list(self._parser.feed(b"".join(self.server.take_output())))


@pytest.fixture
def peer() -> Peer:
    """With stream 1 open."""
    peer = Peer()
    peer.open(1)
    peer.server.reply(1)
    peer.got()
    return peer


def test_a_connection_speaks_only_when_spoken_to() -> None:
    assert Connection().take_output() == []
    offered = WindowUpdate(0, CONNECTION_WINDOW - INITIAL_WINDOW)
    assert Peer().greeting == [Settings({7: STREAM_WINDOW}), offered]


def test_a_stream_is_opened_and_accepted() -> None:
    peer = Peer()
    assert peer.open(1) == [events.StreamOpened(1, {"kind": "test"})]
    peer.server.reply(1)
    (reply,) = peer.got()
    assert isinstance(reply, SynReply)
    assert reply.stream_id == 1


def test_data_and_ends_both_ways(peer: Peer) -> None:
    assert peer.put_data(1, b"in", fin=True) == [events.DataReceived(1, b"in"), events.StreamEnded(1)]
    peer.server.send(1, b"out")
    peer.server.finish(1)
    assert peer.got() == [Data(1, b"out"), Data(1, b"", fin=True)]
    assert not peer.server.is_open(1)


def test_a_stream_that_comes_with_its_end() -> None:
    peer = Peer()
    opened = peer.open(1, fin=True)
    assert opened[1:] == [events.StreamEnded(1)]


def test_a_reset_by_the_peer(peer: Peer) -> None:
    assert peer.put(RstStream(1, 5)) == [events.StreamReset(1, 5)]
    assert not peer.server.is_open(1)
    assert peer.put(RstStream(1, 5)) == []


def test_a_reset_of_ours_is_sent_once(peer: Peer) -> None:
    peer.server.reset(1)
    peer.server.reset(1)
    assert peer.got() == [RstStream(1, ResetStatus.CANCEL)]


def test_data_after_our_reset_is_dropped(peer: Peer) -> None:
    peer.server.reset(1)
    assert peer.put_data(1, b"late") == []
    assert peer.got() == [RstStream(1, ResetStatus.CANCEL)]


def test_data_of_a_stream_that_never_was(peer: Peer) -> None:
    assert peer.put_data(99, b"stray") == []
    assert peer.got() == [RstStream(99, ResetStatus.INVALID_STREAM)]


def test_data_after_its_end(peer: Peer) -> None:
    peer.put_data(1, b"", fin=True)
    assert peer.put_data(1, b"more") == [events.StreamReset(1, ResetStatus.STREAM_ALREADY_CLOSED)]
    assert peer.got() == [RstStream(1, ResetStatus.STREAM_ALREADY_CLOSED)]


def test_an_end_after_the_end(peer: Peer) -> None:
    peer.put_data(1, b"", fin=True)
    assert peer.put_data(1, b"", fin=True) == [events.StreamReset(1, ResetStatus.STREAM_ALREADY_CLOSED)]


def test_a_reply_that_nobody_waits_for(peer: Peer) -> None:
    block = HeaderCompressor()
    peer = Peer()
    peer.put(SynStream(1, block.compress({})))
    peer.server.reply(1)
    assert peer.put(SynReply(1, block.compress({}))) == [events.StreamReset(1, ResetStatus.STREAM_IN_USE)]


def test_more_headers_may_end_a_stream() -> None:
    block, peer = HeaderCompressor(), Peer()
    peer.put(SynStream(1, block.compress({})))
    assert peer.put(Headers(1, block.compress({"more": "1"}), fin=True)) == [events.StreamEnded(1)]
    assert peer.put(Headers(7, block.compress({"of": "nothing"}))) == []


def test_too_many_streams_are_refused() -> None:
    peer = Peer(max_streams=2)
    assert [len(peer.open(stream_id)) for stream_id in (1, 3, 5)] == [1, 1, 0]
    assert peer.got() == [RstStream(5, ResetStatus.REFUSED_STREAM)]
    peer.server.reset(3)
    assert len(peer.open(7)) == 1


def test_no_streams_after_leaving(peer: Peer) -> None:
    peer.server.leave()
    peer.server.leave()
    assert peer.open(3) == []
    assert peer.got() == [GoAway(1, GoAwayStatus.OK), RstStream(3, ResetStatus.REFUSED_STREAM)]
    assert peer.put_data(1, b"goes on") == [events.DataReceived(1, b"goes on")]


def test_a_stream_that_cannot_be_answered_is_refused() -> None:
    peer = Peer()
    assert peer.open(1, unidirectional=True) == []
    assert peer.got() == [RstStream(1, ResetStatus.REFUSED_STREAM)]


@pytest.mark.parametrize("stream_id", [1, 2])
def test_ids_that_a_client_may_not_use(peer: Peer, stream_id: int) -> None:
    with pytest.raises(ProtocolError, match=f"a new stream with id {stream_id}"):
        peer.open(stream_id)
    assert peer.got() == [GoAway(1, GoAwayStatus.PROTOCOL_ERROR)]


def test_pings_come_back_and_answers_do_not(peer: Peer) -> None:
    assert [peer.put(Ping(1)), peer.put(Ping(2))] == [[], []]
    assert peer.got() == [Ping(1)]


def test_the_peer_leaves(peer: Peer) -> None:
    assert peer.put(GoAway(0, 0)) == [events.PeerLeaving()]


def test_nothing_is_sent_on_a_stream_that_has_ended(peer: Peer) -> None:
    peer.server.finish(1)
    with pytest.raises(FailedPreconditionError, match="stream 1"):
        peer.server.send(1, b"more")
    assert peer.got() == [Data(1, b"", fin=True)]


# ---- flow control


def test_a_peer_without_flow_control_is_not_waited_for(peer: Peer) -> None:
    peer.server.send(1, bytes(10 * INITIAL_WINDOW))
    assert peer.server.allowance(1) > INITIAL_WINDOW


def test_a_window_holds_back_once_the_peer_opens_it(peer: Peer) -> None:
    peer.server.send(1, bytes(1000))
    assert peer.put(WindowUpdate(1, 500)) == [events.WindowOpened()]
    assert peer.server.allowance(1) == INITIAL_WINDOW - 500


def test_the_window_of_the_connection(peer: Peer) -> None:
    peer.server.send(1, bytes(INITIAL_WINDOW))
    peer.put(WindowUpdate(0, 7))
    assert peer.server.window == 7


def test_settings_change_the_windows_of_all_streams(peer: Peer) -> None:
    peer.server.send(1, bytes(100))
    peer.put(Settings({7: 50}))
    peer.open(3)
    assert [peer.server.allowance(1), peer.server.allowance(3), peer.server.allowance(5)] == [0, 50, 0]
    peer.put(WindowUpdate(1, 60))
    assert peer.server.allowance(1) == 10


@pytest.mark.parametrize("delta", [0, (1 << 31) - 1])
def test_a_window_of_a_stream_cannot_be_anything(peer: Peer, delta: int) -> None:
    assert peer.put(WindowUpdate(1, delta)) == [events.StreamReset(1, ResetStatus.FLOW_CONTROL_ERROR)]


@pytest.mark.parametrize("frame", [WindowUpdate(0, 0), WindowUpdate(0, (1 << 31) - 1), Settings({7: 1 << 31})])
def test_a_window_of_the_connection_cannot_be_anything(peer: Peer, frame: ControlFrame) -> None:
    with pytest.raises(ProtocolError, match="window"):
        peer.put(frame)


def test_what_was_read_opens_the_peers_windows(peer: Peer) -> None:
    half, half_of_all = STREAM_WINDOW // 2, CONNECTION_WINDOW // 2
    peer.server.acknowledge(1, half - 1)
    assert peer.got() == []
    peer.server.acknowledge(1, 1)
    assert peer.got() == [WindowUpdate(1, half)]
    peer.server.acknowledge(1, half_of_all - half)
    assert peer.got() == [WindowUpdate(0, half_of_all), WindowUpdate(1, half_of_all - half)]


def test_data_nobody_reads_opens_the_window_of_the_connection(peer: Peer) -> None:
    peer.put_data(3, bytes(CONNECTION_WINDOW))
    assert peer.got()[0] == WindowUpdate(0, CONNECTION_WINDOW)
