"""The state table of a stream."""

from itertools import product

import pytest

from crishim.core.errors import FailedPreconditionError
from crishim.streaming.spdy.states import Event, State, advance

LIVES = {
    "opened by us": (
        State.SYN_SENT,
        [Event.SEND_DATA, Event.RECEIVE_REPLY, Event.RECEIVE_DATA, Event.SEND_FIN, Event.RECEIVE_FIN],
    ),
    "opened by the peer": (
        State.SYN_RECEIVED,
        [Event.RECEIVE_DATA, Event.SEND_REPLY, Event.SEND_DATA, Event.RECEIVE_FIN, Event.SEND_FIN],
    ),
    "the peer ends early": (
        State.SYN_RECEIVED,
        [Event.RECEIVE_FIN, Event.SEND_REPLY, Event.SEND_DATA, Event.SEND_FIN],
    ),
    "we end early": (
        State.SYN_SENT,
        [Event.SEND_FIN, Event.RECEIVE_REPLY, Event.RECEIVE_DATA, Event.RECEIVE_FIN],
    ),
}

IMPOSSIBLE = [
    (State.SYN_SENT, Event.RECEIVE_DATA),
    (State.SYN_SENT, Event.SEND_REPLY),
    (State.SYN_RECEIVED, Event.SEND_DATA),
    (State.OPEN, Event.RECEIVE_REPLY),
    (State.FIN_SENT, Event.SEND_DATA),
    (State.FIN_SENT, Event.SEND_FIN),
    (State.FIN_RECEIVED, Event.RECEIVE_DATA),
    (State.FIN_RECEIVED, Event.RECEIVE_FIN),
    *product([State.CLOSED], Event),
]


@pytest.mark.parametrize(("first", "life"), LIVES.values(), ids=LIVES)
def test_lives_end_closed(first: State, life: list[Event]) -> None:
    state = first
    for event in life:
        state = advance(1, state, event)
    assert state is State.CLOSED


@pytest.mark.parametrize(("state", "event"), IMPOSSIBLE)
def test_impossible_moves_name_what_was_tried(state: State, event: Event) -> None:
    with pytest.raises(FailedPreconditionError, match=f"stream 5: {event} is not possible in state {state}"):
        advance(5, state, event)


@pytest.mark.parametrize("state", sorted(set(State) - {State.CLOSED}))
@pytest.mark.parametrize("event", [Event.SEND_RESET, Event.RECEIVE_RESET])
def test_a_reset_is_always_possible(state: State, event: Event) -> None:
    assert advance(1, state, event) is State.CLOSED
