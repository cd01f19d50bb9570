"""A kubelet that runs the pods whose manifests are put into a directory of its own, and those of an API server if any.

To be used on a throw-away host only, after ``host_of_a_kubelet`` has made it one that a kubelet accepts.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from hack.hugetlb import mount_hugetlb
from tests.lab.conflists import ROOT
from tests.lab.daemon import TOOLS
from tests.lab.kube_api import Json, is_ready, trusting_anyone
from tests.lab.node import Node, eventually

IMAGE = "docker.io/library/busybox:latest"
NODE_IP, NODE_NAME = "192.168.77.10", "lab"
_PORT = 10250
_HOME = Path("/run/kubelet")
_CGROUPS = Path("/sys/fs/cgroup")
_SERVING_SECONDS = 60  # a kubelet serves in about three on a machine with nothing else to do
# What a kubelet sets for the whole machine (pkg/kubelet/cm/container_manager_linux.go), unless it is so already.
_WANTED = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}


# -- manifests


def container(name: str, script: str, **fields: Any) -> Json:
    """A container that runs ``script`` in busybox's shell; ``fields`` are further keys of it."""
    return {"name": name, "image": IMAGE, "imagePullPolicy": "Never", "command": ["sh", "-c", script], **fields}


def static_pod(name: str, *containers: Json, **spec: Any) -> Json:
    """A Pod; ``spec`` are further keys of its spec."""
    metadata = {"name": name, "namespace": "default"}
    spec = {"terminationGracePeriodSeconds": 1, "containers": containers, **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


# -- the host


def add_address() -> None:
    """Give the host ``NODE_IP``: a kubelet refuses one of loopback."""
    for words in ("link add node0 type bridge", f"addr add {NODE_IP}/24 dev node0", "link set node0 up"):
        _run("ip", *words.split())


@contextmanager
def host_of_a_kubelet() -> Iterator[str]:
    """Logs and kernel settings of the host's own, and a cgroup; yields the cgroup.

    At its end the cgroup is removed with all processes that are still in it, for cgroups are not the host's own.
    """
    mount_hugetlb()
    _run("mount", "-t", "tmpfs", "tmpfs", "/var/log")
    _HOME.mkdir()
    _run("mount", "-t", "tmpfs", "--make-rshared", "tmpfs", _HOME)  # a kubelet would make a shared mount of its own
    _pretend_settings(Path("/run/settings"))
    name = f"lab-{uuid4().hex[:8]}"
    places = [hierarchy / name for hierarchy in _hierarchies()]
    try:
        for place in places:
            _enable_controllers(place.parent)
            place.mkdir()
        yield name
    finally:
        eventually(lambda: not _kill_all(places))
        for place in places:
            remove_cgroup(place)


def _hierarchies() -> list[Path]:
    """Where cgroups are made: version 2 alone, or each mounted hierarchy of version 1 (and the hybrid's second)."""
    if (_CGROUPS / "cgroup.procs").exists():
        return [_CGROUPS]
    return [place for place in _CGROUPS.iterdir() if not place.is_symlink() and (place / "cgroup.procs").exists()]


def _enable_controllers(hierarchy: Path) -> None:
    """Let the cgroups of a version 2 have all controllers: a kubelet wants them, and systemd gives out a few."""
    available = hierarchy / "cgroup.controllers"
    if available.exists():
        wanted = " ".join(f"+{name}" for name in available.read_text().split())
        (hierarchy / "cgroup.subtree_control").write_text(wanted)


def processes_of(cgroup: str) -> set[int]:
    """The processes in ``cgroup``, a path from the root of each hierarchy, and below it."""
    return {pid for hierarchy in _hierarchies() for pid in _processes(hierarchy / cgroup)}


def _processes(place: Path) -> set[int]:
    found: set[int] = set()
    for directory, _, _ in os.walk(place):
        try:
            found |= {int(line) for line in Path(directory, "cgroup.procs").read_text().split()}
        except OSError:  # it was removed in the meantime
            continue
    return {pid for pid in found if pid > 1}


def _kill_all(places: Sequence[Path]) -> set[int]:
    """End what is in these cgroups; what was there."""
    found = {pid for place in places for pid in _processes(place)}
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return found


def remove_cgroup(place: Path) -> None:
    """Remove a cgroup and those below it, deepest first; does nothing when there is none."""
    for directory, _, _ in os.walk(place, topdown=False):
        Path(directory).rmdir()


def _pretend_settings(directory: Path) -> None:
    """Put files with what a kubelet wants over the machine's settings, so that it changes none of them.

    Pods with a user namespace may mount /proc only where there is one that nothing is put over.
    """
    whole = directory / "proc"
    whole.mkdir(parents=True)
    _run("mount", "-t", "proc", "proc", whole)
    for name, value in _WANTED.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
        _run("mount", "--bind", file, Path("/proc/sys") / name)


def import_image(node: Node) -> None:
    """Give the node's server the image of ``container``."""
    archive = node.home / "busybox.tar"
    _run(sys.executable, ROOT / "hack/images/archive", archive)
    import_archive(node, archive)


def import_archive(node: Node, archive: str | Path) -> None:
    """Give the node's server the images of an archive."""
    _run(Path(sys.executable).with_name("crishim"), "image", "import", archive, "--address", node.daemon.socket)


def _run(*argv: str | Path) -> None:
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


# -- the kubelet


class Kubelet:
    """A kubelet on ``node``, whose server must serve before ``start``; ``cgroup`` is where its pods are.

    ``name`` and ``address`` are its node's; ``kubeconfig`` tells it the API server, if there is one.
    """

    def __init__(
        self, node: Node, cgroup: str, name: str = NODE_NAME, address: str = NODE_IP, kubeconfig: Path | None = None
    ) -> None:
        self.node, self.cgroup = node, cgroup
        self._name, self._address, self._kubeconfig = name, address, kubeconfig
        self.feature_gates: dict[str, bool] = {}  # those that are not as by default; for the next start
        self._manifests = _HOME / "manifests"
        self._process: subprocess.Popen[bytes] | None = None
        self._tls = trusting_anyone()
        self._manifests.mkdir()

    def start(self) -> None:
        """Start it and wait until it serves; raises AssertionError when it does not."""
        config = _HOME / "config.json"
        config.write_text(json.dumps(self._config()))
        flags = {"config": config, "root-dir": _HOME / "root", "cert-dir": _HOME / "pki", "node-ip": self._address}
        if self._kubeconfig:
            flags["kubeconfig"] = self._kubeconfig
        argv: list[str | Path] = [
            TOOLS / "kubelet",
            f"--hostname-override={self._name}",
            *(f"--{key}={flags[key]}" for key in flags),
        ]
        with (_HOME / "log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        assert eventually(self._serves, timeout=_SERVING_SECONDS), f"kubelet does not serve\n{self.tail()}"

    def stop(self) -> None:
        """End it; its pods go on."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)

    def restart(self) -> None:
        """End it and start another."""
        self.stop()
        self.start()

    def tail(self, lines: int = 60) -> str:
        """The end of its log."""
        log = _HOME / "log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""

    # -- pods

    def put(self, pod: Json) -> None:
        """Have ``pod`` run."""
        path = self._manifest(pod["metadata"]["name"])
        written = path.with_name(f".{path.name}")  # a kubelet looks at no hidden files
        written.write_text(json.dumps(pod))
        written.rename(path)

    def delete(self, name: str) -> None:
        """Have the pod ``name`` end."""
        self._manifest(name).unlink()

    def pods(self) -> dict[str, Json]:
        """Its pods by the names their manifests have."""
        items = json.loads(self.get("/pods"))["items"] or []
        return {pod["metadata"]["name"].removesuffix(f"-{self._name}"): pod for pod in items}

    def ready(self, name: str) -> bool:
        """Whether the pod is ready now."""
        return is_ready(self.pods().get(name, {}))

    def run(self, pod: Json, timeout: float = 40) -> Json:
        """``put``, and wait until it is ready: its status; AssertionError when it is not after ``timeout`` seconds."""
        name = pod["metadata"]["name"]
        self.put(pod)
        assert eventually(lambda: self.ready(name), timeout), f"{self.pods().get(name)}\n{self.tail()}"
        return dict(self.pods()[name]["status"])

    def containers(self, name: str) -> dict[str, Json]:
        """The status of each of a pod's containers by name."""
        return {each["name"]: each for each in self.pods()[name]["status"].get("containerStatuses", [])}

    def processes(self) -> set[int]:
        """Every process of every pod."""
        return processes_of(self.cgroup)

    # -- its server

    def url(self, verb: str, pod: str, rest: str = "") -> str:
        """The address of /VERB/NAMESPACE/POD on its server, and ``rest``."""
        return f"https://{self._address}:{_PORT}/{verb}/default/{pod}-{self._name}{rest}"

    def get(self, path: str) -> bytes:
        """The answer to GET; raises OSError."""
        address = path if path.startswith("https:") else f"https://{self._address}:{_PORT}{path}"
        with urllib.request.urlopen(address, timeout=10, context=self._tls) as answer:
            return bytes(answer.read())

    def _serves(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"kubelet ended with {self._process.returncode}\n{self.tail()}"
        try:
            return self.get("/healthz") == b"ok"
        except OSError:
            return False

    def _manifest(self, name: str) -> Path:
        return self._manifests / f"{name}.json"

    def _config(self) -> Json:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{self.node.daemon.socket}",
            "staticPodPath": str(self._manifests),
            "fileCheckFrequency": "1s",
            "syncFrequency": "1s",
            "address": self._address,
            "port": _PORT,
            "healthzPort": 0,
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupRoot": f"/{self.cgroup}",
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            "oomScoreAdj": 0,  # a container may not be allowed to lower its own
            "podLogsDir": "/var/log/pods",
            "volumePluginDir": str(_HOME / "plugins"),
            "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
            "resolvConf": "",
            "featureGates": self.feature_gates,
        }
