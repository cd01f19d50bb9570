"""The record of a container, and its state table.

    begin             made             start              exited               remove
   ───────▶ CREATING ──────▶ CREATED ────────▶ RUNNING ───────────▶ EXITED ───────────▶ REMOVING ─▶ gone
               │                │ exited (killed before its start)   ▲ │                  │ ▲
               │                └────────────────────────────────────┘ └── remove         └─┘ remove, again
               └─ fail: undone and forgotten

To CRI, CREATING is not listed, CREATED, RUNNING and EXITED are what they are called, and REMOVING is EXITED.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum

from msgspec import Struct, field

from crishim.core.errors import FailedPreconditionError
from crishim.model.pod import GroupsPolicy, IDMapping, NamespaceOptions, Resources, SecurityProfile, SELinuxOptions


class State(StrEnum):
    """Where a container stands in its life."""

    CREATING = "creating"
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    REMOVING = "removing"


class Event(StrEnum):
    """What can happen to a container."""

    MADE = "made"
    START = "start"
    EXITED = "exited"
    REMOVE = "remove"


_MOVES: dict[tuple[State, Event], State] = {
    (State.CREATING, Event.MADE): State.CREATED,
    (State.CREATED, Event.START): State.RUNNING,
    (State.CREATED, Event.EXITED): State.EXITED,
    (State.CREATED, Event.REMOVE): State.REMOVING,
    (State.RUNNING, Event.EXITED): State.EXITED,
    (State.EXITED, Event.REMOVE): State.REMOVING,
    (State.REMOVING, Event.REMOVE): State.REMOVING,
}


def advance(container_id: str, state: State, event: Event) -> State:
    """The state after ``event``; raises FailedPreconditionError, which changes nothing, for an illegal move."""
    try:
        return _MOVES[state, event]
    except KeyError:
        message = f"container {container_id}: event {event} is not possible in state {state}"
        raise FailedPreconditionError(message) from None


class MountPropagation(IntEnum):
    """How mounts made on one side of a mount show on the other."""

    PRIVATE = 0
    HOST_TO_CONTAINER = 1
    BIDIRECTIONAL = 2


class ContainerMetadata(Struct, frozen=True, omit_defaults=True):
    """Name and attempt; unique within a sandbox."""

    name: str
    attempt: int = 0


class ImageSpec(Struct, frozen=True, omit_defaults=True):
    """The image as the caller names it. ``user_specified_image`` is what the pod's author wrote.

    ``image_ref`` is the digest, which the kubelet knows of an image that it has mounted.
    """

    image: str
    annotations: Mapping[str, str] = {}
    user_specified_image: str = ""
    runtime_handler: str = ""
    image_ref: str = ""


class Mount(Struct, frozen=True, omit_defaults=True):
    """One mount. With ``image`` set, the content of that image is mounted instead of ``host_path``."""

    container_path: str
    host_path: str = ""
    readonly: bool = False
    selinux_relabel: bool = False
    propagation: MountPropagation = MountPropagation.PRIVATE
    uid_mappings: tuple[IDMapping, ...] = ()
    gid_mappings: tuple[IDMapping, ...] = ()
    recursive_read_only: bool = False
    image: ImageSpec | None = None
    image_sub_path: str = ""
    mount_options: tuple[str, ...] = ()


class Device(Struct, frozen=True):
    """A device of the node; ``permissions`` out of ``rwm``."""

    container_path: str
    host_path: str
    permissions: str


class Capabilities(Struct, frozen=True, omit_defaults=True):
    """Capabilities added to and dropped from the default set; ``ALL`` means every one."""

    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    add_ambient: tuple[str, ...] = ()


class ContainerSecurity(Struct, frozen=True, omit_defaults=True):
    """Security context of a container. None means that the caller said nothing."""

    capabilities: Capabilities = Capabilities()
    privileged: bool = False
    namespaces: NamespaceOptions = NamespaceOptions()
    selinux: SELinuxOptions | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_username: str = ""
    readonly_rootfs: bool = False
    supplemental_groups: tuple[int, ...] = ()
    supplemental_groups_policy: GroupsPolicy = GroupsPolicy.MERGE
    no_new_privs: bool = False
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    seccomp: SecurityProfile | None = None
    apparmor: SecurityProfile | None = None


class ContainerConfig(Struct, frozen=True, omit_defaults=True):
    """Everything ``CreateContainer`` was asked for. ``envs`` keep their order; values are bytes."""

    metadata: ContainerMetadata
    image: ImageSpec
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    envs: tuple[tuple[str, bytes], ...] = ()
    mounts: tuple[Mount, ...] = ()
    devices: tuple[Device, ...] = ()
    cdi_devices: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    log_path: str = ""
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    stop_signal: int = 0
    resources: Resources = Resources()
    security: ContainerSecurity = ContainerSecurity()


class Container(Struct, frozen=True, kw_only=True):
    """All that is known of one container. Times are nanoseconds since the epoch, 0: not yet.

    ``image_ref`` is the image's id (its config digest), ``image_digest`` the reference with digest it was pulled by.
    ``infra``: it holds the pod's PID namespace and is the server's own.
    ``pid`` is the container's init process, valid only with ``pid_start`` (its start time in clock ticks, proc(5)
    field 22). ``exit_code`` is meaningful in EXITED. ``resources`` are those in force, after updates.
    """

    id: str
    sandbox_id: str
    config: ContainerConfig
    runtime_handler: str
    infra: bool = False
    created_at: int
    boot_id: str
    image_ref: str = ""
    image_digest: str = ""
    state: State = State.CREATING
    pid: int = 0
    pid_start: int = 0
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    log_path: str = ""
    resources: Resources = Resources()
    stop_signal: str = "SIGTERM"
    uid: int = 0
    gid: int = 0
    supplemental_groups: tuple[int, ...] = ()


class ContainerFilter(Struct, frozen=True):
    """Which containers a caller wants; every part given must match. Ids may be prefixes."""

    id: str = ""
    sandbox_id: str = ""
    state: State | None = None
    labels: Mapping[str, str] = {}

    def matches(self, container: Container) -> bool:
        """Whether ``container`` is wanted."""
        shown = State.EXITED if container.state is State.REMOVING else container.state
        return (
            container.id.startswith(self.id)
            and container.sandbox_id.startswith(self.sandbox_id)
            and self.state in (None, shown)
            and self.labels.items() <= container.config.labels.items()
        )
