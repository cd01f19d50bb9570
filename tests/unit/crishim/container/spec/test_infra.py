"""The process that holds a pod's shared PID namespace."""

import pytest
from msgspec.structs import replace

from crishim.container.spec.infra import infra_process, infra_spec, needs_oci_runtime
from crishim.drivers.cgroups import CgroupMode
from crishim.drivers.host_facts import HostFacts
from crishim.drivers.infra.dressing import InfraProcess
from crishim.model.pod import IDMapping, NamespaceMode, NamespaceOptions, UserNamespace
from crishim.model.sandbox import NamespacePaths, Sandbox
from tests.unit.crishim.container.spec.parts import HOST, pod, pod_with

V1 = replace(HOST, cgroup_mode=CgroupMode.V1, oom_score_adj_min=-10)
SELINUX = replace(HOST, selinux=True)


OPTIONS = NamespaceOptions(
    userns=UserNamespace(NamespaceMode.POD, (IDMapping(1000, 0, 10),), (IDMapping(1000, 0, 10),))
)
WITH_USERS = replace(pod_with(namespaces=OPTIONS), namespaces=NamespacePaths(user="/n/user"))


@pytest.mark.parametrize(
    ("sandbox", "host", "needed"),
    [
        (pod(), HOST, False),
        (WITH_USERS, HOST, True),
        (pod(), SELINUX, True),
        (pod(), replace(HOST, seccomp=False), True),
        (pod(), replace(HOST, architecture="s390x"), True),
    ],
)
def test_few_need_an_oci_runtime(sandbox: Sandbox, host: HostFacts, needed: bool) -> None:
    assert needs_oci_runtime(sandbox, host) == needed


@pytest.mark.parametrize(("host", "score"), [(HOST, -998), (V1, -10)])
def test_without_an_oci_runtime(host: HostFacts, score: int) -> None:
    assert infra_process(pod(), host) == InfraProcess(pod().namespaces, score)


def test_it_may_do_nothing() -> None:
    process = infra_spec("i1", pod(), "/r", "/usr/bin/catatonit", HOST)["process"]
    assert process["args"] == ["/catatonit", "-P"]
    assert set(map(tuple, process["capabilities"].values())) == {()}
    assert (process["noNewPrivileges"], process["user"]["uid"] > 0, process["oomScoreAdj"]) == (True, True, -998)


def test_it_sees_nothing() -> None:
    spec = infra_spec("i1", pod(), "/r", "/usr/bin/catatonit", HOST)
    assert spec["root"] == {"path": "/r", "readonly": True}
    assert [(mount["source"], "ro" in mount["options"]) for mount in spec["mounts"]] == [
        ("proc", False),
        ("tmpfs", False),
        ("/usr/bin/catatonit", True),
    ]


@pytest.mark.parametrize(("host", "own"), [(HOST, ["pid", "mount", "cgroup"]), (V1, ["pid", "mount"])])
def test_namespaces(host: object, own: list[str]) -> None:
    linux = infra_spec("i1", pod(cgroup_parent="/k"), "/r", "/c", host)["linux"]  # type: ignore[arg-type]
    assert [each["type"] for each in linux["namespaces"] if "path" not in each] == own
    assert {each["type"]: each["path"] for each in linux["namespaces"] if "path" in each} == {
        "network": "/n/net",
        "ipc": "/n/ipc",
        "uts": "/n/uts",
    }
    assert linux["cgroupsPath"] == "/k/i1"


def test_a_restricted_server() -> None:
    assert infra_spec("i1", pod(), "/r", "/c", V1)["process"]["oomScoreAdj"] == -10


def test_a_pod_on_the_nodes_network_with_a_user_namespace() -> None:
    spec = infra_spec("i1", WITH_USERS, "/r", "/c", V1)
    linux = spec["linux"]
    assert linux["namespaces"] == [{"type": "pid"}, {"type": "mount"}, {"type": "user", "path": "/n/user"}]
    assert spec["process"]["user"] == {"uid": 0, "gid": 0}
    assert linux["uidMappings"] == linux["gidMappings"] == [{"containerID": 0, "hostID": 1000, "size": 10}]
