"""The CRI validation suite against a server: the images it pulls, the way it is run, and what it found.

To be used on a throw-away host only: the registry serves on its loopback, and the server makes containers.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.lab.conflists import PORTMAP, ROOT, bridge, conflist
from tests.lab.daemon import TOOLS, Daemon, crishim
from tests.lab.node import Node

# Debian's, and one that reports all that CRI knows of: OCI runtime to its program.
RUNTIMES = {"crun": "crun", "runc": "runc", "runc-current": str(TOOLS / "oci/runc")}
WEBSOCKET = ("-websocket-exec", "-websocket-attach", "-websocket-portforward")
NETWORK = conflist("critest", bridge("cni0", "10.88.0.0/16"), PORTMAP)
_RUNTIME = "io.containerd.cri.v1.runtime"
_IMAGES = "io.containerd.cri.v1.images"
_REGISTRY_SECONDS = 60


class Failure(msgspec.Struct, rename="pascal", frozen=True):
    """Why a spec failed or was skipped."""

    message: str = ""


class Spec(msgspec.Struct, rename="pascal", frozen=True):
    """One spec of the suite's own report; ``run_time`` in nanoseconds."""

    container_hierarchy_texts: list[str] | None
    leaf_node_type: str
    leaf_node_text: str
    state: str
    run_time: int
    failure: Failure = Failure()

    @property
    def name(self) -> str:
        """Its full name, as ``-ginkgo.focus`` sees it."""
        return " ".join([*(self.container_hierarchy_texts or ()), self.leaf_node_text])


class Outcome(msgspec.Struct, frozen=True):
    """What a run of the suite found, as spec name to reason; what was never to run is in neither."""

    passed: frozenset[str]
    failed: Mapping[str, str]
    skipped: Mapping[str, str]


class _Suite(msgspec.Struct, rename="pascal", frozen=True):
    spec_reports: list[Spec]


def read_report(report: bytes) -> list[Spec]:
    """The specs of a report in ginkgo's JSON form."""
    (suite,) = msgspec.json.decode(report, type=list[_Suite])
    return [spec for spec in suite.spec_reports if spec.leaf_node_type == "It"]


def outcome(specs: Sequence[Spec]) -> Outcome:
    """What ``specs`` say. A spec that no filter selected was skipped too, but without a reason."""
    skipped = {spec.name: spec.failure.message for spec in specs if spec.state == "skipped" and spec.failure.message}
    failed = {spec.name: spec.failure.message for spec in specs if spec.state not in ("passed", "skipped")}
    return Outcome(frozenset(spec.name for spec in specs if spec.state == "passed"), failed, skipped)


def run_suite(socket: Path, report: Path, *arguments: str) -> list[Spec]:
    """Run critest against the server at ``socket``; its report, written to ``report``, is the answer."""
    endpoint = f"unix://{socket}"
    argv = [str(TOOLS / "critest"), "-runtime-endpoint", endpoint, "-image-endpoint", endpoint, *arguments]
    subprocess.run([*argv, f"-ginkgo.json-report={report}", "-ginkgo.no-color"], check=False)
    return read_report(report.read_bytes())


@contextmanager
def serving_images(directory: Path) -> Iterator[Path]:
    """The suite's images on loopback; the directory that is to be named as registry.config_path."""
    directory.mkdir(parents=True)
    argv = [sys.executable, str(ROOT / "hack/images/registry"), str(directory)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as registry:
        try:
            end = time.monotonic() + _REGISTRY_SECONDS
            while not (directory / "ready").exists():
                assert registry.poll() is None, f"the registry ended with status {registry.returncode}"
                assert time.monotonic() < end, f"the registry is not ready after {_REGISTRY_SECONDS} s"
                time.sleep(0.05)
            yield directory / "certs.d"
        finally:
            registry.terminate()


@contextmanager
def serving_containers(home: Path, runtime: str, *, systemd: bool = False) -> Iterator[Node]:
    """A node that serves images and containers of ``runtime``, one of RUNTIMES; its files lie below ``home``.

    ``systemd``, which has to run, makes the control groups.
    """
    with serving_images(home / "registry") as hosts:
        node = Node(home / "node", functools.partial(_container_server, runtime, systemd, hosts))
        node.serve(NETWORK, own={"plugins": "builtin"})
        try:
            yield node
        finally:
            node.close()


def _container_server(
    runtime: str,
    systemd: bool,
    hosts: Path,
    home: Path,
    bin_dirs: Sequence[Path],
    cni: Mapping[str, Any],
    own: Mapping[str, Any],
) -> Daemon:
    server = crishim(home, bin_dirs, cni, own)
    plugins = server.settings["plugins"]
    plugins[_IMAGES] = {"registry": {"config_path": str(hosts)}}
    of_program = {"BinaryName": RUNTIMES[runtime], "SystemdCgroup": systemd}
    options = {"runtime_type": "io.containerd.runc.v2", "options": of_program}
    plugins[_RUNTIME] |= {
        "restrict_oom_score_adj": True,
        "containerd": {"default_runtime_name": runtime, "runtimes": {runtime: options}},
    }
    return server
