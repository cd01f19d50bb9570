"""What statuses and lists show of a container."""

import msgspec
import pytest
from google.protobuf import text_format

from crishim.container.spec.signals import SIGNALS
from crishim.model.container import (
    Container,
    ContainerConfig,
    ContainerFilter,
    ContainerMetadata,
    ImageSpec,
    Mount,
    MountPropagation,
    State,
)
from crishim.model.pod import IDMapping, Resources
from crishim.rpc.convert.container_status import container_item, container_status
from crishim.rpc.pb import api_pb2 as pb

CONTAINER = Container(
    id="abc",
    sandbox_id="pod",
    config=ContainerConfig(
        ContainerMetadata("web", 2),
        ImageSpec("sha256:1", user_specified_image="web:1"),
        labels={"app": "web"},
        annotations={"note": "\n"},
        mounts=(
            Mount("/a", "/b", propagation=MountPropagation.HOST_TO_CONTAINER, uid_mappings=(IDMapping(1, 2, 3),)),
            Mount("/i", readonly=True, image=ImageSpec("i", image_ref="i@d")),
        ),
    ),
    runtime_handler="crun",
    created_at=17,
    boot_id="b",
    image_ref="sha256:1",
    image_digest="web@sha256:2",
    state=State.EXITED,
    started_at=18,
    finished_at=19,
    exit_code=137,
    reason="OOMKilled",
    message="m",
    log_path="/logs/0.log",
    resources=Resources(cpu_shares=2, hugepage_limits={"2MB": 4}, unified={"memory.high": "1"}),
    stop_signal="SIGRTMIN+3",
    uid=1000,
    gid=1001,
    supplemental_groups=(1001, 1002),
)
BOTH = """
id: "abc" metadata { name: "web" attempt: 2 } created_at: 17 state: CONTAINER_EXITED
image_ref: "web@sha256:2" image_id: "sha256:1"
labels { key: "app" value: "web" } annotations { key: "note" value: "\\n" }
"""
ITEM = 'pod_sandbox_id: "pod" image { image: "sha256:1" user_specified_image: "web:1" }'
STATUS = """
image { image: "web:1" user_specified_image: "web:1" }
started_at: 18 finished_at: 19 exit_code: 137 reason: "OOMKilled" message: "m" log_path: "/logs/0.log"
mounts {
  container_path: "/a" host_path: "/b" propagation: PROPAGATION_HOST_TO_CONTAINER
  uidMappings { host_id: 1 container_id: 2 length: 3 }
}
mounts { container_path: "/i" readonly: true image { image: "i" image_ref: "i@d" } }
resources {
  linux {
    cpu_shares: 2 hugepage_limits { page_size: "2MB" limit: 4 } unified { key: "memory.high" value: "1" }
  }
}
user { linux { uid: 1000 gid: 1001 supplemental_groups: 1001 supplemental_groups: 1002 } }
stop_signal: SIGNAL_SIGRTMINPLUS3
"""


def test_item() -> None:
    assert pb.Container(**container_item(CONTAINER)) == text_format.Parse(BOTH + ITEM, pb.Container())


def test_status() -> None:
    assert pb.ContainerStatus(**container_status(CONTAINER)) == text_format.Parse(BOTH + STATUS, pb.ContainerStatus())


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (State.CREATING, pb.CONTAINER_UNKNOWN),
        (State.CREATED, pb.CONTAINER_CREATED),
        (State.RUNNING, pb.CONTAINER_RUNNING),
        (State.EXITED, pb.CONTAINER_EXITED),
        (State.REMOVING, pb.CONTAINER_EXITED),
    ],
)
def test_states(state: State, shown: pb.ContainerState) -> None:
    container = msgspec.structs.replace(CONTAINER, state=state)
    assert (container_status(container)["state"], container_item(container)["state"]) == (shown, shown)


@pytest.mark.parametrize(
    ("state", "began", "ended", "shown"),
    [(State.CREATED, 0, 0, 0), (State.RUNNING, 18, 0, 18), (State.EXITED, 18, 19, 18), (State.EXITED, 0, 19, 19)],
)
def test_what_ended_has_a_start(state: State, began: int, ended: int, shown: int) -> None:
    """A kubelet takes 0 for a time: 1970."""
    container = msgspec.structs.replace(CONTAINER, state=state, started_at=began, finished_at=ended)
    assert container_status(container)["started_at"] == shown


def test_a_container_being_removed_is_listed_as_exited() -> None:
    removing = msgspec.structs.replace(CONTAINER, state=State.REMOVING)
    assert ContainerFilter(state=State.EXITED).matches(removing)


def test_an_image_without_another_name() -> None:
    config = msgspec.structs.replace(CONTAINER.config, image=ImageSpec("web:1"))
    container = msgspec.structs.replace(CONTAINER, config=config, image_digest="")
    assert pb.ContainerStatus(**container_status(container)).image == pb.ImageSpec(image="web:1")
    assert container_status(container)["image_ref"] == "sha256:1"


def test_signals_have_the_numbers_of_cri() -> None:
    names = [
        name.removeprefix("SIGNAL_").replace("PLUS", "+").replace("MINUS", "-").replace("RUNTIME_DEFAULT", "")
        for name in pb.Signal.keys()  # noqa: SIM118 - it is no dictionary
    ]
    assert list(SIGNALS) == names
