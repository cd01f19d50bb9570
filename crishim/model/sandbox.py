"""The record of a pod sandbox, and its state table.

    begin                ready             stop               stopped              remove
   ───────▶ CREATING ───────────▶ READY ──────────▶ STOPPING ───────────▶ STOPPED ───────────▶ REMOVING ─▶ gone
               │                                      ▲  │ ▲                                     │ ▲
               └──────────────── fail ────────────────┘  └─┘ stop, again                         └─┘ remove, again

A sandbox is ``SANDBOX_READY`` to CRI only in READY. CREATING is not listed; every other state is listed as
``SANDBOX_NOTREADY``. A sandbox whose making failed goes to STOPPING and is removed when its undo has succeeded.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from crishim.core.errors import FailedPreconditionError
from crishim.model.pod import PodConfig, UserNamespace


class State(StrEnum):
    """Where a sandbox stands in its life."""

    CREATING = "creating"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    REMOVING = "removing"


class Event(StrEnum):
    """What can happen to a sandbox."""

    READY = "ready"
    FAIL = "fail"
    STOP = "stop"
    STOPPED = "stopped"
    REMOVE = "remove"


_MOVES: dict[tuple[State, Event], State] = {
    (State.CREATING, Event.READY): State.READY,
    (State.CREATING, Event.FAIL): State.STOPPING,
    (State.READY, Event.STOP): State.STOPPING,
    (State.STOPPING, Event.STOP): State.STOPPING,
    (State.STOPPING, Event.STOPPED): State.STOPPED,
    (State.STOPPED, Event.REMOVE): State.REMOVING,
    (State.REMOVING, Event.REMOVE): State.REMOVING,
}


def advance(sandbox_id: str, state: State, event: Event) -> State:
    """The state after ``event``; raises FailedPreconditionError, which changes nothing, for an illegal move."""
    try:
        return _MOVES[state, event]
    except KeyError:
        message = f"sandbox {sandbox_id}: event {event} is not possible in state {state}"
        raise FailedPreconditionError(message) from None


class NamespacePaths(Struct, frozen=True):
    """Where the pod's own namespaces are pinned; None: the pod uses the node's."""

    net: str | None = None
    ipc: str | None = None
    uts: str | None = None
    user: str | None = None


class NamespaceSpec(Struct, frozen=True):
    """The namespaces to make: one for each path. ``sysctls`` are written from inside them.

    ``userns`` holds the ids of the user namespace, which owns the others; it is there when it has a path.
    """

    paths: NamespacePaths
    hostname: str = ""
    sysctls: Mapping[str, str] = {}
    loopback_up: bool = False
    userns: UserNamespace | None = None


class IdMap(Struct, frozen=True):
    """The ids of a user namespace, and where it is pinned."""

    namespace: str
    userns: UserNamespace


class Sandbox(Struct, frozen=True, kw_only=True):
    """All that is known of one sandbox. Times are nanoseconds since the epoch.

    ``netns_inode`` tells whether the file at ``namespaces.net`` is still the namespace that was made;
    ``boot_id`` the boot it was made in. ``ips`` holds the pod's addresses, the primary one first.
    ``failed``: its making failed, so it is kept only until everything is undone; ``reason`` says why it is not ready.
    """

    id: str
    config: PodConfig
    runtime_handler: str
    created_at: int
    boot_id: str
    state: State = State.CREATING
    namespaces: NamespacePaths = NamespacePaths()
    netns_inode: int = 0
    ips: tuple[str, ...] = ()
    reason: str = ""
    failed: bool = False

    @property
    def id_map(self) -> IdMap | None:
        """The ids of the pod's own user namespace, if it has one."""
        userns, path = self.config.user_namespace, self.namespaces.user
        return IdMap(path, userns) if userns is not None and path is not None else None


class SandboxFilter(Struct, frozen=True):
    """Which sandboxes a caller wants; every part given must match. ``id`` may be a prefix."""

    id: str = ""
    ready: bool | None = None
    labels: Mapping[str, str] = {}

    def matches(self, sandbox: Sandbox) -> bool:
        """Whether ``sandbox`` is wanted."""
        return (
            sandbox.id.startswith(self.id)
            and self.ready in (None, sandbox.state is State.READY)
            and self.labels.items() <= sandbox.config.labels.items()
        )
