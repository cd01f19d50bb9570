"""One side of a SPDY/3.1 connection without I/O: bytes in, events out; calls in, bytes out.

What breaks the rules of one stream ends that stream; what leaves the two sides without a common state ends the
connection: ``receive`` raises ProtocolError then, with a GOAWAY among the bytes to send.

Source: SPDY Draft 3.1, section 2 "SPDY Framing Layer".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from crishim.core.errors import FailedPreconditionError
from crishim.streaming.spdy import events, states
from crishim.streaming.spdy.frames import (
    MAX_STREAM_ID,
    MAX_WINDOW,
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
    Setting,
    Settings,
    SynReply,
    SynStream,
    WindowUpdate,
    data_header,
    encode,
)
from crishim.streaming.spdy.headers import HeaderCompressor, HeaderDecompressor
from crishim.streaming.spdy.parser import FrameParser
from crishim.streaming.spdy.states import State
from crishim.streaming.spdy.windows import CONNECTION_WINDOW, INITIAL_WINDOW, STREAM_WINDOW, ReceiveWindow, SendWindow

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class _Stream:
    """What is known of a stream that is not closed."""

    def __init__(self, stream_id: int, state: State, window: int) -> None:
        self.id, self.state = stream_id, state
        self.sending, self.receiving = SendWindow(window), ReceiveWindow(STREAM_WINDOW)


class Connection:
    """The state of one connection. The peer opens no stream when there are ``max_streams``."""

    def __init__(self, *, client: bool = False, max_streams: int = 1000) -> None:
        self._parser, self._compressor, self._decompressor = FrameParser(), HeaderCompressor(), HeaderDecompressor()
        self._max_streams = max_streams
        self._streams: dict[int, _Stream] = {}
        self._own_parity = 1 if client else 0
        self._last_own_id = -1 if client else 0
        self._last_peer_id = 0
        self._sending, self._receiving = SendWindow(), ReceiveWindow(CONNECTION_WINDOW)
        self._initial_window = INITIAL_WINDOW
        self._peer_has_stream_windows = self._peer_has_window = False
        self._out: list[bytes] = []
        self._pending = 0
        self._greeted = self._leaving = False

    # ---- bytes out

    @property
    def pending(self) -> int:
        """Bytes that ``take_output`` would return."""
        return self._pending

    def take_output(self) -> list[bytes]:
        """The bytes to send to the peer, in order, once."""
        out, self._out, self._pending = self._out, [], 0
        return out

    def _put(self, data: bytes) -> None:
        self._out.append(data)
        self._pending += len(data)

    def _put_frame(self, frame: ControlFrame) -> None:
        self._put(encode(frame))

    # ---- calls in

    def is_open(self, stream_id: int) -> bool:
        """Whether the stream is not yet closed in both directions."""
        return stream_id in self._streams

    def open(self, headers: Mapping[str, str]) -> int:
        """Ask the peer for a stream and return its id; raises FailedPreconditionError when there are no ids left."""
        stream_id = self._last_own_id + 2
        if stream_id > MAX_STREAM_ID:
            raise FailedPreconditionError("no ids are left for streams of this connection")
        self._last_own_id = stream_id
        self._streams[stream_id] = _Stream(stream_id, State.SYN_SENT, self._initial_window)
        self._put_frame(SynStream(stream_id, self._compressor.compress(headers)))
        return stream_id

    def reply(self, stream_id: int) -> None:
        """Accept a stream of the peer."""
        self._advance(stream_id, states.Event.SEND_REPLY)
        self._put_frame(SynReply(stream_id, self._compressor.compress(_NO_HEADERS)))

    @property
    def window(self) -> int:
        """Bytes that may be sent now on all streams together. See ``windows``."""
        return max(0, self._sending.size) if self._peer_has_window else MAX_WINDOW

    def allowance(self, stream_id: int) -> int:
        """Bytes that may be sent now on the stream, if ``window`` allows as many; 0 also when it is closed."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return 0
        return max(0, stream.sending.size) if self._peer_has_stream_windows else MAX_WINDOW

    def send(self, stream_id: int, data: bytes) -> None:
        """Send at most ``allowance`` and ``window`` bytes; raises FailedPreconditionError after ``finish``."""
        stream = self._advance(stream_id, states.Event.SEND_DATA)
        stream.sending.spend(len(data))
        self._sending.spend(len(data))
        self._put(data_header(stream_id, len(data)))
        self._put(data)

    def finish(self, stream_id: int) -> None:
        """Say that no more data follows; raises FailedPreconditionError when that was said before."""
        self._advance(stream_id, states.Event.SEND_FIN)
        self._put(data_header(stream_id, 0, fin=True))

    def reset(self, stream_id: int, status: ResetStatus = ResetStatus.CANCEL) -> None:
        """End a stream at once; one that is closed already is left alone."""
        if stream_id in self._streams:
            self._advance(stream_id, states.Event.SEND_RESET)
            self._put_frame(RstStream(stream_id, status))

    def acknowledge(self, stream_id: int, count: int) -> None:
        """Tell that ``count`` bytes of a stream, open or not, have been read or thrown away."""
        if delta := self._receiving.consume(count):
            self._put_frame(WindowUpdate(0, delta))
        stream = self._streams.get(stream_id)
        if stream is not None and (delta := stream.receiving.consume(count)):
            self._put_frame(WindowUpdate(stream_id, delta))

    def probe(self) -> None:
        """Send something that asks for nothing, so that a host whose client has vanished answers with a reset."""
        self._put_frame(Settings({}))

    def leave(self, status: GoAwayStatus = GoAwayStatus.OK) -> None:
        """Say, once, that no more streams will be served; those that are open go on."""
        if not self._leaving:
            self._leaving = True
            self._put_frame(GoAway(self._last_peer_id, status))

    def _advance(self, stream_id: int, event: states.Event) -> _Stream:
        stream = self._streams.get(stream_id)
        state = states.advance(stream_id, stream.state if stream else State.CLOSED, event)
        assert stream is not None, "no event is possible for a closed stream"
        stream.state = state
        if state is State.CLOSED:
            del self._streams[stream_id]
        return stream

    # ---- bytes in

    def receive(self, data: bytes) -> Iterator[events.Event]:
        """The events that ``data`` brings about, to be iterated to the end; what follows from one may be done at once.

        Raises ProtocolError, after which there is nothing left to do but to send what is pending and to hang up.
        """
        self._greet()
        try:
            for frame in self._parser.feed(data):
                yield from self._handle(frame)
        except ProtocolError:
            self.leave(GoAwayStatus.PROTOCOL_ERROR)
            raise

    def _greet(self) -> None:
        """Offer windows, but not before the peer has spoken: the HTTP clients of Kubernetes lose what comes earlier."""
        if not self._greeted:
            self._greeted = True
            self._put_frame(Settings({Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW}))
            self._put_frame(WindowUpdate(0, CONNECTION_WINDOW - INITIAL_WINDOW))

    def _handle(self, frame: Frame) -> Iterator[events.Event]:
        match frame:
            case Data():
                yield from self._on_data(frame)
            case SynStream():
                yield from self._on_syn_stream(frame)
            case SynReply() | Headers():
                yield from self._on_headers(frame)
            case RstStream():
                yield from self._on_reset(frame)
            case WindowUpdate():
                yield from self._on_window_update(frame)
            case Settings():
                yield from self._on_settings(frame)
            case Ping():
                self._answer(frame)
            case GoAway():
                yield events.PeerLeaving()

    def _on_data(self, frame: Data) -> Iterator[events.Event]:
        if frame.stream_id not in self._streams:
            self._refuse_data(frame)
            return
        if frame.data:
            if not self._legal(frame.stream_id, states.Event.RECEIVE_DATA):
                self.acknowledge(frame.stream_id, len(frame.data))
                yield self._break(frame.stream_id, ResetStatus.STREAM_ALREADY_CLOSED)
                return
            yield events.DataReceived(frame.stream_id, frame.data)
        if frame.fin:
            yield from self._on_fin(frame.stream_id)

    def _refuse_data(self, frame: Data) -> None:
        """Data of a stream that was closed may have been under way; of one that never was it is a mistake."""
        self.acknowledge(frame.stream_id, len(frame.data))
        own = frame.stream_id % 2 == self._own_parity
        if frame.stream_id > (self._last_own_id if own else self._last_peer_id):
            self._put_frame(RstStream(frame.stream_id, ResetStatus.INVALID_STREAM))

    def _on_fin(self, stream_id: int) -> Iterator[events.Event]:
        if self._legal(stream_id, states.Event.RECEIVE_FIN):
            yield events.StreamEnded(stream_id)
        elif stream_id in self._streams:
            yield self._break(stream_id, ResetStatus.STREAM_ALREADY_CLOSED)

    def _on_syn_stream(self, frame: SynStream) -> Iterator[events.Event]:
        headers = self._decompressor.decompress(frame.block)
        if frame.stream_id % 2 == self._own_parity or frame.stream_id <= self._last_peer_id:
            raise ProtocolError(f"a new stream with id {frame.stream_id}")
        self._last_peer_id = frame.stream_id
        if self._leaving or frame.unidirectional or len(self._streams) >= self._max_streams:
            self._put_frame(RstStream(frame.stream_id, ResetStatus.REFUSED_STREAM))
            return
        self._streams[frame.stream_id] = _Stream(frame.stream_id, State.SYN_RECEIVED, self._initial_window)
        yield events.StreamOpened(frame.stream_id, headers)
        if frame.fin:
            yield from self._on_fin(frame.stream_id)

    def _on_headers(self, frame: SynReply | Headers) -> Iterator[events.Event]:
        self._decompressor.decompress(frame.block)
        if frame.stream_id not in self._streams:
            return
        if isinstance(frame, SynReply) and not self._legal(frame.stream_id, states.Event.RECEIVE_REPLY):
            yield self._break(frame.stream_id, ResetStatus.STREAM_IN_USE)
        elif frame.fin:
            yield from self._on_fin(frame.stream_id)

    def _on_reset(self, frame: RstStream) -> Iterator[events.Event]:
        if self._legal(frame.stream_id, states.Event.RECEIVE_RESET):
            yield events.StreamReset(frame.stream_id, frame.status)

    def _answer(self, frame: Ping) -> None:
        """What the peer has numbered comes back to it; the other pings are answers."""
        if frame.ping_id % 2 != self._own_parity:
            self._put_frame(frame)

    def _on_window_update(self, frame: WindowUpdate) -> Iterator[events.Event]:
        if frame.stream_id == 0:
            self._peer_has_window = True
            if not frame.delta or not self._sending.grow(frame.delta):
                raise ProtocolError(f"a window opened by {frame.delta} bytes")
        else:
            self._peer_has_stream_windows = True
            stream = self._streams.get(frame.stream_id)
            if stream is not None and (not frame.delta or not stream.sending.grow(frame.delta)):
                yield self._break(frame.stream_id, ResetStatus.FLOW_CONTROL_ERROR)
                return
        yield events.WindowOpened()

    def _on_settings(self, frame: Settings) -> Iterator[events.Event]:
        self._peer_has_stream_windows = True
        size = frame.values.get(Setting.INITIAL_WINDOW_SIZE, self._initial_window)
        delta, self._initial_window = size - self._initial_window, size
        if size > MAX_WINDOW or not all(stream.sending.grow(delta) for stream in self._streams.values()):
            raise ProtocolError(f"an initial window of {size} bytes")
        yield events.WindowOpened()

    def _legal(self, stream_id: int, event: states.Event) -> bool:
        """Make a move that the peer asks for, if it may."""
        try:
            self._advance(stream_id, event)
        except FailedPreconditionError:
            return False
        return True

    def _break(self, stream_id: int, status: ResetStatus) -> events.Event:
        self.reset(stream_id, status)
        return events.StreamReset(stream_id, status)
