"""The life of one stream.

              send SYN                                   receive SYN
       ┌──────────────── (not there) ───────────────────────────┐
       ▼                                                        ▼
   SYN_SENT ── send FIN ──▶ SYN_SENT_FIN     SYN_RECEIVED ── receive FIN ──▶ SYN_RECEIVED_FIN
       │ receive reply           │                  │ send reply                    │
       └──────────▶ OPEN ◀───────┼──────────────────┘                               │
   receive FIN  │    │  send FIN │ receive reply                          send reply │
       ┌────────┘    └──────────▶│                                                  │
       ▼                         ▼                                                  │
  FIN_RECEIVED ◀─────────────────┼──────────────────────────────────────────────────┘
       │ send FIN           FIN_SENT
       └───────▶ CLOSED ◀────────┘ receive FIN

RST_STREAM, sent or received, leads from everywhere to CLOSED. Data changes no state, but is not possible in each.

Source: SPDY Draft 3.1, section 2.3 "Streams".
"""

from __future__ import annotations

from enum import StrEnum
from itertools import product

from crishim.core.errors import FailedPreconditionError


class State(StrEnum):
    """Where a stream stands in its life."""

    SYN_SENT = "SYN sent"
    SYN_SENT_FIN = "SYN and FIN sent"
    SYN_RECEIVED = "SYN received"
    SYN_RECEIVED_FIN = "SYN and FIN received"
    OPEN = "open"
    FIN_SENT = "FIN sent"
    FIN_RECEIVED = "FIN received"
    CLOSED = "closed"


class Event(StrEnum):
    """What can happen to a stream."""

    SEND_REPLY = "send reply"
    RECEIVE_REPLY = "receive reply"
    SEND_DATA = "send data"
    RECEIVE_DATA = "receive data"
    SEND_FIN = "send FIN"
    RECEIVE_FIN = "receive FIN"
    SEND_RESET = "send reset"
    RECEIVE_RESET = "receive reset"


_MOVES: dict[tuple[State, Event], State] = {
    (State.SYN_SENT, Event.SEND_DATA): State.SYN_SENT,
    (State.SYN_SENT, Event.SEND_FIN): State.SYN_SENT_FIN,
    (State.SYN_SENT, Event.RECEIVE_REPLY): State.OPEN,
    (State.SYN_SENT_FIN, Event.RECEIVE_REPLY): State.FIN_SENT,
    (State.SYN_RECEIVED, Event.RECEIVE_DATA): State.SYN_RECEIVED,
    (State.SYN_RECEIVED, Event.RECEIVE_FIN): State.SYN_RECEIVED_FIN,
    (State.SYN_RECEIVED, Event.SEND_REPLY): State.OPEN,
    (State.SYN_RECEIVED_FIN, Event.SEND_REPLY): State.FIN_RECEIVED,
    (State.OPEN, Event.SEND_DATA): State.OPEN,
    (State.OPEN, Event.RECEIVE_DATA): State.OPEN,
    (State.OPEN, Event.SEND_FIN): State.FIN_SENT,
    (State.OPEN, Event.RECEIVE_FIN): State.FIN_RECEIVED,
    (State.FIN_SENT, Event.RECEIVE_DATA): State.FIN_SENT,
    (State.FIN_SENT, Event.RECEIVE_FIN): State.CLOSED,
    (State.FIN_RECEIVED, Event.SEND_DATA): State.FIN_RECEIVED,
    (State.FIN_RECEIVED, Event.SEND_FIN): State.CLOSED,
}
_MOVES |= {
    (state, event): State.CLOSED
    for state, event in product(State, (Event.SEND_RESET, Event.RECEIVE_RESET))
    if state is not State.CLOSED
}


def advance(stream_id: int, state: State, event: Event) -> State:
    """The state after ``event``; raises FailedPreconditionError, which changes nothing, for an illegal move."""
    try:
        return _MOVES[state, event]
    except KeyError:
        raise FailedPreconditionError(f"stream {stream_id}: {event} is not possible in state {state}") from None
