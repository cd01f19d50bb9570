"""The state table and the filter of sandboxes."""

from itertools import product

import pytest

from crishim.core.errors import FailedPreconditionError
from crishim.model.pod import PodConfig, PodMetadata
from crishim.model.sandbox import Event, Sandbox, SandboxFilter, State, advance

LEGAL = {
    (State.CREATING, Event.READY): State.READY,
    (State.CREATING, Event.FAIL): State.STOPPING,
    (State.READY, Event.STOP): State.STOPPING,
    (State.STOPPING, Event.STOP): State.STOPPING,
    (State.STOPPING, Event.STOPPED): State.STOPPED,
    (State.STOPPED, Event.REMOVE): State.REMOVING,
    (State.REMOVING, Event.REMOVE): State.REMOVING,
}


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_move_is_in_the_table_or_refused(state: State, event: Event) -> None:
    if (state, event) in LEGAL:
        assert advance("abc", state, event) is LEGAL[state, event]
    else:
        with pytest.raises(FailedPreconditionError, match=f"sandbox abc: event {event} .* state {state}"):
            advance("abc", state, event)


def sandbox(state: State = State.READY) -> Sandbox:
    config = PodConfig(PodMetadata("web", "u1", "shop"), labels={"app": "web", "tier": "front"})
    return Sandbox(id="abcdef", config=config, runtime_handler="crun", created_at=1, boot_id="b", state=state)


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (SandboxFilter(), True),
        (SandboxFilter(id="abc"), True),
        (SandboxFilter(id="bcd"), False),
        (SandboxFilter(ready=True), True),
        (SandboxFilter(ready=False), False),
        (SandboxFilter(labels={"app": "web"}), True),
        (SandboxFilter(labels={"app": "web", "tier": "back"}), False),
        (SandboxFilter(id="abc", labels={"missing": ""}), False),
    ],
)
def test_a_filter_matches_when_all_its_parts_do(wanted: SandboxFilter, matches: bool) -> None:
    assert wanted.matches(sandbox()) is matches


def test_every_state_but_ready_is_not_ready() -> None:
    assert [state for state in State if SandboxFilter(ready=True).matches(sandbox(state))] == [State.READY]


def test_reservation_tells_every_part_apart() -> None:
    metadata = [
        PodMetadata("a", "u", "n", 0),
        PodMetadata("a", "u", "n", 1),
        PodMetadata("a_n", "u", ""),
        PodMetadata("a", "u", "n_"),
    ]
    assert len({each.reservation for each in metadata}) == len(metadata)
