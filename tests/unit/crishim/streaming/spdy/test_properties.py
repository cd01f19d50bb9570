"""Two sides of a connection, with whatever the tasks and the network in between may do; and bytes of no client."""

from contextlib import suppress
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from crishim.streaming.spdy import events
from crishim.streaming.spdy.connection import Connection
from crishim.streaming.spdy.frames import ProtocolError, Settings, encode

CLIENT, SERVER = 0, 1
sides = st.sampled_from([CLIENT, SERVER])


class TwoSides(RuleBasedStateMachine):
    """Every byte that is sent arrives, in order, once; ends and resets arrive; nobody breaks the protocol."""

    streams: Bundle[int] = Bundle("streams")

    def __init__(self) -> None:
        super().__init__()
        self.sides = Connection(client=True), Connection()
        self.on_the_way = [bytearray(), bytearray()]
        self.sent: dict[tuple[int, int], bytes] = {}
        self.received: dict[tuple[int, int], bytes] = {}
        self.finished: set[tuple[int, int]] = set()
        self.ended: set[tuple[int, int]] = set()
        self.broken: set[int] = set()

    @rule(target=streams)
    def open(self) -> int:
        stream_id = self.sides[CLIENT].open({"n": "1"})
        for side in (CLIENT, SERVER):
            self.sent[side, stream_id] = self.received[side, stream_id] = b""
        return stream_id

    @rule(side=sides, stream_id=streams, data=st.binary(min_size=1, max_size=100))
    def send(self, side: int, stream_id: int, data: bytes) -> None:
        if self.can_send(side, stream_id):
            data = data[: min(self.sides[side].allowance(stream_id), self.sides[side].window)]
            self.sides[side].send(stream_id, data)
            self.sent[side, stream_id] += data

    @rule(side=sides, stream_id=streams)
    def finish(self, side: int, stream_id: int) -> None:
        if self.can_send(side, stream_id):
            self.sides[side].finish(stream_id)
            self.finished.add((side, stream_id))

    @rule(side=sides, stream_id=streams)
    def reset(self, side: int, stream_id: int) -> None:
        if self.sides[side].is_open(stream_id):
            self.sides[side].reset(stream_id)
            self.broken.add(stream_id)

    @rule(side=sides, size=st.integers(1, 200))
    def limit_windows(self, side: int, size: int) -> None:
        self.on_the_way[1 - side] += b"".join(self.sides[side].take_output()) + encode(Settings({7: size}))

    @rule(side=sides, size=st.integers(1, 300))
    def deliver(self, side: int, size: int) -> None:
        """Some bytes reach ``side``."""
        self.on_the_way[side] += b"".join(self.sides[1 - side].take_output())
        data, self.on_the_way[side] = bytes(self.on_the_way[side][:size]), self.on_the_way[side][size:]
        for event in self.sides[side].receive(data):
            self.handle(side, event)

    @rule()
    def deliver_all(self) -> None:
        for side in (SERVER, CLIENT, SERVER):
            self.deliver(side, 1 << 30)

    def handle(self, side: int, event: events.Event) -> None:
        match event:
            case events.StreamOpened():
                self.sides[side].reply(event.stream_id)
            case events.DataReceived():
                assert (1 - side, event.stream_id) not in self.ended
                self.received[side, event.stream_id] += event.data
                self.sides[side].acknowledge(event.stream_id, len(event.data))
            case events.StreamEnded():
                self.ended.add((1 - side, event.stream_id))
            case events.StreamReset():
                assert event.stream_id in self.broken

    def can_send(self, side: int, stream_id: int) -> bool:
        connection = self.sides[side]
        return connection.is_open(stream_id) and (side, stream_id) not in self.finished

    @invariant()
    def bytes_arrive_in_order(self) -> None:
        for side, stream_id in self.received:
            assert self.sent[1 - side, stream_id].startswith(self.received[side, stream_id])

    @invariant()
    def an_end_comes_after_everything(self) -> None:
        for side, stream_id in self.ended - {(side, one) for side, one in product((0, 1), self.broken)}:
            assert self.received[1 - side, stream_id] == self.sent[side, stream_id]

    def teardown(self) -> None:
        self.deliver_all()
        for side, stream_id in self.received:
            if stream_id not in self.broken:
                assert self.received[side, stream_id] == self.sent[1 - side, stream_id]
                assert ((side, stream_id) in self.ended) == ((side, stream_id) in self.finished)
            if stream_id in self.broken or {(0, stream_id), (1, stream_id)} <= self.ended:
                assert not self.sides[side].is_open(stream_id)


TestTwoSides = TwoSides.TestCase
TestTwoSides.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


@given(st.binary(max_size=400), st.booleans())
def test_no_bytes_do_more_than_end_the_connection(data: bytes, client: bool) -> None:
    connection = Connection(client=client, max_streams=3)
    with suppress(ProtocolError):
        assert isinstance(list(connection.receive(data)), list)
    assert connection.pending < 100 + 2 * len(data)


@given(st.data())
def test_damaged_bytes_do_no_more_than_end_the_connection(data: st.DataObject) -> None:
    client, server = Connection(client=True), Connection()
    for number in range(3):
        client.send(client.open({"streamtype": "stdin", "port": str(number)}), b"hello")
    raw = bytearray(b"".join(client.take_output()))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(ProtocolError):
        assert isinstance(list(server.receive(bytes(raw))), list)
