"""CRI servers as child processes: crishim, and containerd as its peer, each on files of its own below one directory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import tomli_w
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.lab.conflists import ROOT
from tests.lab.pause import write_pause_archive

# Set in the environment, it makes containerd the server of the end-to-end tests.
PEER = bool(os.environ.get("CRI_PEER"))

TOOLS = ROOT / ".build/bin"
_RUNTIME = "io.containerd.cri.v1.runtime"
_IMAGES = "io.containerd.cri.v1.images"
PAUSE_IMAGE = "localhost/pause:1"


class DaemonError(Exception):
    """The server ended, or did not become ready; the message holds the end of its log."""


class Daemon:
    """One CRI server: ``home`` holds its config, conf_dir, root, state, socket and log."""

    def __init__(self, name: str, home: Path, argv: Sequence[str | Path], settings: Mapping[str, Any]) -> None:
        self.name, self.home, self.settings = name, home, settings
        self.socket, self.log, self.conf_dir = home / "cri.sock", home / "log", home / "net.d"
        self._argv = argv
        self._process: subprocess.Popen[bytes] | None = None
        self.conf_dir.mkdir(parents=True)

    @property
    def pid(self) -> int | None:
        """Its process, None when it is not running."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, *, fault: str = "", host: Iterable[str | Path] = ()) -> None:
        """Start it and wait until it serves. ``fault`` arms a fault point; ``host`` is a command to start it under."""
        self.home.joinpath("config.toml").write_text(tomli_w.dumps(self.settings))
        environment = {**os.environ, "PATH": f"{TOOLS}:{os.environ['PATH']}", "CNI_RUNTIME_FAULT": fault}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*host, *self._argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        self._wait_until_serving(time.monotonic() + 20)

    def wait(self, timeout: float = 20) -> int:
        """Wait for its end; the exit status, negative for a signal."""
        assert self._process, f"{self.name} was never started"
        return self._process.wait(timeout)

    def stop(self) -> None:
        """End it with SIGTERM, with SIGKILL when it does not obey in 20 seconds. Does nothing when it has ended."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise DaemonError(f"{self.name} ignored SIGTERM for 20 s\n{self.tail()}") from None

    def kill(self) -> None:
        """End it with SIGKILL."""
        assert self._process, f"{self.name} was never started"
        self._process.kill()
        self.wait()

    def tail(self, lines: int = 60) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _wait_until_serving(self, end: float) -> None:
        with grpc.insecure_channel(f"unix://{self.socket}") as channel:
            health = health_pb2_grpc.HealthStub(channel)
            while time.monotonic() < end:
                if self.pid is None:
                    raise DaemonError(f"{self.name} ended with status {self.wait()}\n{self.tail()}")
                if self.socket.exists() and _serves(health):
                    return
                time.sleep(0.02)
        raise DaemonError(f"{self.name} did not become ready\n{self.tail()}")


class Containerd(Daemon):
    """containerd, with the pause image that it cannot do without."""

    def start(self, *, fault: str = "", host: Iterable[str | Path] = ()) -> None:
        """Start it, wait until it serves, import the image."""
        super().start(fault=fault, host=host)
        archive = self.home / "pause.tar"
        write_pause_archive(archive, PAUSE_IMAGE)
        ctr = (TOOLS / "ctr", "--address", self.socket, "--namespace", "k8s.io")
        subprocess.run([*ctr, "images", "import", archive], check=True, capture_output=True)


def _serves(health: health_pb2_grpc.HealthStub) -> bool:
    try:
        answer = health.Check(health_pb2.HealthCheckRequest(), timeout=2, wait_for_ready=True)
    except grpc.RpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def crishim(
    home: Path, bin_dirs: Sequence[Path], cni: Mapping[str, Any], own: Mapping[str, Any], *, run_by: Sequence[str] = ()
) -> Daemon:
    """A crishim that runs executables from ``bin_dirs``. ``cni`` adds to ``.cni``, ``own`` to ``[crishim.cni]``.

    ``run_by`` is a command that runs another one.
    """
    runtime = {"cni": _cni_table(home, bin_dirs, cni)}
    settings = {"version": 3, "plugins": {_RUNTIME: runtime}, "crishim": {"cni": {"plugins": "exec", **own}}}
    program, config, socket = Path(sys.executable).with_name("crishim"), home / "config.toml", home / "cri.sock"
    places = ("--address", socket, "--root", home / "root", "--state", home / "state")
    return Daemon("crishim", home, (*run_by, program, "serve", "--config", config, *places), settings)


def choose_runtime(server: Daemon, runtime: str) -> None:
    """Let a crishim that is not started yet make containers with another OCI runtime than its default."""
    options = {"runtime_type": "io.containerd.runc.v2", "options": {"BinaryName": runtime}}
    server.settings["plugins"][_RUNTIME]["containerd"] = {
        "default_runtime_name": runtime,
        "runtimes": {runtime: options},
    }


def containerd(home: Path, bin_dirs: Sequence[Path], cni: Mapping[str, Any], own: Mapping[str, Any]) -> Daemon:
    """The peer, as its documentation sets it up: runc and overlayfs. ``own`` is not for it."""
    settings = {
        "version": 3,
        "root": str(home / "root"),
        "state": str(home / "state"),
        "grpc": {"address": str(home / "cri.sock")},
        "plugins": {
            _IMAGES: {"pinned_images": {"sandbox": PAUSE_IMAGE}},
            _RUNTIME: {"cni": _cni_table(home, bin_dirs, cni), "restrict_oom_score_adj": True},
        },
    }
    return Containerd("containerd", home, (TOOLS / "containerd", "--config", home / "config.toml"), settings)


def _cni_table(home: Path, bin_dirs: Sequence[Path], more: Mapping[str, Any]) -> dict[str, Any]:
    return {"bin_dirs": [str(path) for path in bin_dirs], "conf_dir": str(home / "net.d"), **more}
