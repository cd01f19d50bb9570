"""A real kubelet with the server as its runtime: static pods, probes, hooks, streams, usage, restarts.

The fixture ``kubelet`` runs already; when the test ends, its pods are removed, and nothing of them may be left.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cni_runtime.testing.host import Host
from tests.lab.conflists import PORTMAP, bridge, conflist
from tests.lab.daemon import PEER, TOOLS
from tests.lab.kernel import shifts_ids_in_memory
from tests.lab.kube_api import Json
from tests.lab.kubelet import (
    IMAGE,
    NODE_IP,
    Kubelet,
    add_address,
    container,
    host_of_a_kubelet,
    import_image,
    processes_of,
    static_pod,
)
from tests.lab.node import Node, eventually

pytestmark = pytest.mark.skipif(PEER, reason="the image gets there through crishim's own import")
NETWORK = conflist("pods", bridge("cni0", "10.88.0.0/24"), PORTMAP)
SHARED = Path("/run/shared")  # of the host, for pods to leave traces in
SLEEP = "exec sleep 1000"
TRANSPORTS = ("spdy", "websocket")
_GRPC_HEALTH = """
from concurrent import futures
import grpc
from grpc_health.v1 import health, health_pb2_grpc
server = grpc.server(futures.ThreadPoolExecutor())
health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
server.add_insecure_port("0.0.0.0:9000")
server.start()
server.wait_for_termination()
"""


@pytest.fixture
def cgroup() -> Iterator[str]:
    """A host that a kubelet accepts; no process may be left on it. Made before ``node`` looks at what is there."""
    add_address()
    with host_of_a_kubelet() as name:
        before = Host().processes()
        yield name
        assert eventually(lambda: not processes_of(name)), processes_of(name)
        assert eventually(lambda: Host().processes() == before), Host().processes()


@pytest.fixture
def kubelet(cgroup: str, node: Node, request: pytest.FixtureRequest) -> Iterator[Kubelet]:
    """A kubelet that serves, on a server that has the image. Its parameter is the OCI runtime."""
    node.serve(NETWORK, own={"plugins": "builtin"}, runtime=getattr(request, "param", ""))
    import_image(node)
    kubelet = Kubelet(node, cgroup)
    try:
        kubelet.start()
        yield kubelet
    finally:
        kubelet.stop()
        print(kubelet.tail())


def mounted(*mounts: tuple[str, Path | str]) -> dict[str, Any]:
    """The key of a container that mounts volumes by name."""
    return {"volumeMounts": [{"name": name, "mountPath": str(path)} for name, path in mounts]}


def of_the_host(name: str, path: Path) -> Json:
    """A volume that is a directory of the host."""
    return {"name": name, "hostPath": {"path": str(path), "type": "DirectoryOrCreate"}}


def probe(**how: Any) -> Json:
    """A probe each second, that decides at once."""
    return {"periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 5, **how}


def executing(*argv: str) -> Json:
    """What a probe or a hook does: run a command."""
    return {"exec": {"command": argv}}


def stream(
    kubelet: Kubelet, pod: str, *argv: str, query: str = "", stdin: bytes = b"", flags: str = ""
) -> subprocess.CompletedProcess[bytes]:
    """The finished process of a client that ran ``argv`` in the container ``main`` through the kubelet."""
    words = "&".join(f"command={urllib.parse.quote(word)}" for word in argv)
    url = kubelet.url("exec", pod, f"/main?output=1&{query}&{words}")
    client: list[str | Path] = [TOOLS / "streamclient", "exec", url, *flags.split()]
    return subprocess.run(client, input=stdin, capture_output=True, check=False, timeout=30)


@pytest.mark.parametrize("kubelet", ["crun", "runc"], indirect=True)
def test_a_pod_of_many_parts_becomes_ready(kubelet: Kubelet) -> None:
    content = {"name": "content", "emptyDir": {}}
    web = container(
        "web",
        "exec httpd -f -p 8080 -h /www",
        ports=[{"containerPort": 8080, "hostPort": 18080}],
        readinessProbe=probe(httpGet={"path": "/index.html", "port": 8080}),
        livenessProbe=probe(tcpSocket={"port": 8080}, failureThreshold=5),
        **mounted(("content", "/www")),
    )
    side = container("side", SLEEP, readinessProbe=probe(**executing("pidof", "httpd"), initialDelaySeconds=1))
    first = container("first", "echo from the first > /www/index.html", **mounted(("content", "/www")))
    pod = static_pod("web", web, side, initContainers=[first], volumes=[content], shareProcessNamespace=True)
    status = kubelet.run(pod)
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    assert all(each["restartCount"] == 0 for each in status["containerStatuses"])
    for address in (f"{NODE_IP}:18080", f"{status['podIP']}:8080"):
        with urllib.request.urlopen(f"http://{address}/index.html", timeout=5) as answer:
            assert answer.read() == b"from the first\n"


@shifts_ids_in_memory
@pytest.mark.parametrize("kubelet", [str(TOOLS / "oci/runc")], ids=["runc-current"], indirect=True)
def test_a_pod_has_users_of_its_own(kubelet: Kubelet) -> None:
    script = f"echo done > /dev/termination-log; touch /data/made; {SLEEP}"
    ready = probe(**executing("test", "-e", "/data/made"))
    main = container("main", script, readinessProbe=ready, **mounted(("content", "/data")))
    kubelet.run(static_pod("web", main, hostUsers=False, volumes=[{"name": "content", "emptyDir": {}}]))
    first, on_node, size = map(int, stream(kubelet, "web", "cat", "/proc/self/uid_map").stdout.split())
    assert (first, on_node >= 65536, size) == (0, True, 65536)
    files = ("/data", "/data/made", "/etc/hosts", "/dev/termination-log", "/bin")
    assert stream(kubelet, "web", "stat", "-c", "%u", *files).stdout.split() == [b"0"] * len(files)
    (made,) = Path("/run/kubelet/root/pods").glob("*/volumes/*/content/made")
    assert made.stat().st_uid == 0  # a volume is shared with pods that have other users


def test_an_exec_probe_decides_who_is_ready(kubelet: Kubelet) -> None:
    trace = of_the_host("trace", SHARED)
    ready = probe(**executing("test", "-e", f"{SHARED}/ready"))
    kubelet.put(
        static_pod(
            "picky", container("main", SLEEP, readinessProbe=ready, **mounted(("trace", SHARED))), volumes=[trace]
        )
    )
    assert eventually(
        lambda: "picky" in kubelet.pods() and kubelet.containers("picky").get("main", {}).get("started"), 40
    )
    assert not eventually(lambda: kubelet.ready("picky"), 3)
    SHARED.joinpath("ready").touch()
    assert eventually(lambda: kubelet.ready("picky"), 20)


def test_a_grpc_probe_reaches_into_the_pod(kubelet: Kubelet) -> None:
    """The service is the test's own Python, in a pod that sees the host's files."""
    service = container("main", "", readinessProbe=probe(grpc={"port": 9000}), **mounted(("host", "/host")))
    service["command"] = ["chroot", "/host", sys.executable, "-c", _GRPC_HEALTH]
    kubelet.run(static_pod("grpc", service, volumes=[{"name": "host", "hostPath": {"path": "/"}}]))


def test_hooks_run_and_a_deleted_manifest_takes_its_pod_away(kubelet: Kubelet) -> None:
    hooks = {
        "postStart": executing("touch", f"{SHARED}/started"),
        "preStop": executing("sh", "-c", f"sleep 0.5; touch {SHARED}/stopping"),
    }
    main = container("main", SLEEP, lifecycle=hooks, **mounted(("trace", SHARED)))
    kubelet.run(static_pod("hooked", main, volumes=[of_the_host("trace", SHARED)]))
    assert [path.name for path in SHARED.iterdir()] == ["started"]
    kubelet.delete("hooked")
    assert eventually(lambda: not kubelet.pods() and not kubelet.processes(), 30)
    assert SHARED.joinpath("stopping").exists()
    assert eventually(lambda: not kubelet.node.crictl_json("pods", "--state", "Ready")["items"], 20)


def test_a_container_that_crashed_is_started_again(kubelet: Kubelet) -> None:
    kubelet.run(static_pod("frail", container("main", "while ! rm /crash 2>/dev/null; do sleep 0.1; done; exit 3")))
    assert stream(kubelet, "frail", "touch", "/crash").returncode == 0
    assert eventually(lambda: kubelet.containers("frail")["main"]["restartCount"] == 1, 30)
    assert kubelet.containers("frail")["main"]["lastState"]["terminated"]["exitCode"] == 3
    assert eventually(lambda: kubelet.ready("frail"), 20)


def test_a_sidecar_an_image_volume_and_what_a_container_says_at_its_end(kubelet: Kubelet) -> None:
    """The sidecar comes first and goes on; one container sees an image and leaves a message, the other logs one."""
    volume = {"name": "tools", "image": {"reference": IMAGE, "pullPolicy": "Never"}}
    beside = container("beside", SLEEP, restartPolicy="Always", startupProbe=probe(**executing("true")))
    script = "/tools/busybox echo seen > /dev/termination-log"
    tools = {"volumeMounts": [{"name": "tools", "mountPath": "/tools", "subPath": "bin"}]}
    last = container("last", "echo gone; exit 3", terminationMessagePolicy="FallbackToLogsOnError")
    pod = static_pod(
        "ending",
        container("first", script, **tools),
        last,
        initContainers=[beside],
        volumes=[volume],
        restartPolicy="Never",
    )
    kubelet.put(pod)
    assert eventually(
        lambda: "ending" in kubelet.pods() and kubelet.pods()["ending"]["status"]["phase"] == "Failed", 40
    )
    ended = {name: each["state"]["terminated"] for name, each in kubelet.containers("ending").items()}
    assert {name: (each["exitCode"], each["reason"], each["message"]) for name, each in ended.items()} == {
        "first": (0, "Completed", "seen\n"),
        "last": (3, "Error", "gone\n"),
    }
    assert all(each["startedAt"] > "2020" and each["finishedAt"] >= each["startedAt"] for each in ended.values())


def test_a_container_that_can_not_be_made_is_not_restarted(kubelet: Kubelet) -> None:
    def tries() -> int:
        return kubelet.tail(100_000).count("CreateContainer in sandbox")

    wrong = container("main", SLEEP)
    wrong["command"] = ["nowhere"]
    kubelet.put(static_pod("wrong", wrong))
    assert eventually(lambda: tries() >= 2, 60), kubelet.tail()
    status = kubelet.containers("wrong")["main"]
    assert (status["state"]["waiting"]["reason"], status["restartCount"]) == ("CreateContainerError", 0)
    assert not list(Path("/var/log/pods").glob("*/main/*"))


def test_a_kubelet_goes_by_events_and_takes_usage_from_the_server(kubelet: Kubelet) -> None:
    kubelet.feature_gates = dict.fromkeys(("EventedPLEG", "PodAndContainerStatsFromCRI", "CRIListStreaming"), True)
    kubelet.restart()
    main = container("main", "while ! rm /crash 2>/dev/null; do sleep 0.1; done; exit 3")
    main["securityContext"] = {"capabilities": {"add": ["NET_ADMIN"]}}
    kubelet.run(static_pod("talker", main, container("side", SLEEP)))
    assert stream(kubelet, "talker", "touch", "/crash").returncode == 0
    assert eventually(lambda: kubelet.containers("talker")["main"]["restartCount"] == 1, 30)
    assert eventually(lambda: kubelet.ready("talker"), 20)
    assert eventually(lambda: counted(kubelet, "talker"), 40), kubelet.get("/stats/summary")
    rename = "ip link set eth0 down && ip link set eth0 name other"
    assert stream(kubelet, "talker", "sh", "-c", rename).returncode == 0
    time.sleep(2)  # until the interfaces are looked at again
    (pod,) = json.loads(kubelet.get("/stats/summary"))["pods"]
    assert [each["name"] for each in pod["network"]["interfaces"]] == ["other"]
    assert b'interface="other"' in kubelet.get("/metrics/cadvisor")


def test_an_evented_kubelet_goes_on_with_a_pod_whose_former_sandbox_is_removed(kubelet: Kubelet) -> None:
    def sandboxes() -> list[str]:
        return [each["id"] for each in kubelet.node.crictl_json("pods")["items"]]

    kubelet.feature_gates = {"EventedPLEG": True}
    kubelet.restart()
    kubelet.run(static_pod("moved", container("main", SLEEP)))
    (former,) = sandboxes()
    kubelet.node.crictl("stopp", former)
    assert eventually(lambda: len(sandboxes()) == 2 and kubelet.ready("moved"), 40), kubelet.tail()
    processes = kubelet.processes()
    kubelet.node.crictl("rmp", former)
    time.sleep(7)  # it takes what it knows for new enough every five seconds
    assert (kubelet.processes(), len(sandboxes())) == (processes, 1), kubelet.tail()


def test_streams_logs_and_usage_through_the_kubelet(kubelet: Kubelet) -> None:
    script = "echo one; echo two >&2; exec nc -ll -p 7000 -e head -n 1"
    listener = container("listener", "while read line; do echo heard $line; done", stdin=True)
    kubelet.run(static_pod("talker", container("main", script), listener))
    for transport in TRANSPORTS:
        speak_with_a_command(kubelet, f"--transport={transport}")
        assert said_by_the_attached(kubelet, transport) == b"heard hello\n"
        with forwarding(kubelet, "talker", 7000, transport) as port:
            assert kubelet.node.say("127.0.0.1", port) == "hello"
    logs = kubelet.get(kubelet.url("containerLogs", "talker", "/main"))
    assert sorted(logs.split()) == [b"one", b"two"]
    assert eventually(lambda: counted(kubelet, "talker"), 40), kubelet.get("/stats/summary")


def speak_with_a_command(kubelet: Kubelet, transport: str) -> None:
    """Input, both outputs, the exit status, a terminal's size."""
    talk = "cat; echo error >&2; exit 7"
    said = stream(
        kubelet,
        "talker",
        "sh",
        "-c",
        talk,
        query="input=1&error=1",
        stdin=b"hello\n",
        flags=f"{transport} --stdin --stderr",
    )
    assert (said.returncode, said.stdout, said.stderr) == (7, b"hello\n", b"error\n")
    size = (
        "until stty size 2>/dev/null | grep .; do sleep 0.1; done"  # the client sends it when the command runs already
    )
    said = stream(
        kubelet, "talker", "sh", "-c", size, query="input=1&tty=1", flags=f"{transport} --stdin --tty --size=90x30"
    )
    assert said.stdout == b"30 90\r\n"


def said_by_the_attached(kubelet: Kubelet, transport: str) -> bytes:
    """What a client hears that attaches to the container ``listener`` and says hello. The container goes on."""
    url = kubelet.url("attach", "talker", "/listener?output=1&input=1")
    argv: list[str | Path] = [TOOLS / "streamclient", "exec", url, f"--transport={transport}", "--stdin"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdin
        assert client.stdout
        client.stdin.write(b"hello\n")
        client.stdin.flush()
        try:
            return client.stdout.readline()
        finally:
            client.kill()


@contextmanager
def forwarding(kubelet: Kubelet, pod: str, port: int, transport: str) -> Iterator[int]:
    """A client that forwards to a port of a pod; the local port."""
    url = kubelet.url("portForward", pod)
    argv: list[str | Path] = [TOOLS / "streamclient", "forward", url, str(port), f"--transport={transport}"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdout
        yield int(client.stdout.readline().rpartition(b":")[2])
        client.communicate(timeout=10)


def counted(kubelet: Kubelet, name: str) -> bool:
    """Whether /stats/summary tells what the pod and its two containers have used of processor and memory."""
    pods = json.loads(kubelet.get("/stats/summary"))["pods"]
    users = [user for pod in pods if pod["podRef"]["name"].startswith(f"{name}-") for user in (pod, *pod["containers"])]
    figures = [(user["cpu"]["usageCoreNanoSeconds"], user["memory"]["workingSetBytes"]) for user in users]
    return len(figures) == 3 and all(min(each) > 0 for each in figures)


def test_pods_go_on_when_the_kubelet_or_the_server_restarts(kubelet: Kubelet) -> None:
    def crash() -> None:
        kubelet.node.daemon.kill()
        kubelet.node.restart()

    kubelet.run(static_pod("steady", container("main", SLEEP)))
    processes = kubelet.processes()
    assert processes
    for restart in (kubelet.restart, kubelet.node.restart, crash):
        restart()
        assert eventually(lambda: kubelet.ready("steady"), 30)
        time.sleep(3)  # three looks of the kubelet at its pods
        assert kubelet.processes() == processes
        assert stream(kubelet, "steady", "true").returncode == 0
    assert kubelet.containers("steady")["main"]["restartCount"] == 0
