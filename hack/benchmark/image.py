"""Cold pulls and removals of two CRI servers from one registry on loopback, measured by one client in turns."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import grpc.aio
from msgspec import Struct, field
from rich.table import Table

from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.pb.api_pb2_grpc import ImageServiceStub
from hack.benchmark.rounds import in_turns
from tests.lab.conflists import CURRENT, ROOT
from tests.lab.daemon import Daemon, containerd, crishim

LARGE, SMALL = "sized/large:1", "sized/small:1"
_IMAGES = "io.containerd.cri.v1.images"
_PORT = 5123
_READY_SECONDS = 180


class Result(Struct):
    """Seconds by image and rpc, and the most memory (MiB) the server had while pulling."""

    seconds: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    memory: dict[str, float] = field(default_factory=dict)


def compare_images(rounds: int, directory: Path, progress: Callable[[str], Any]) -> dict[str, Result]:
    """Serve the images, start both servers with their files below ``directory``, and let them take turns.

    Nothing is left on the machine.
    """
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crishim-bench-", dir=directory)))
        progress("building and serving the images")
        certificates = stack.enter_context(_registry(home / "registry"))
        servers = [make(home / make.__name__, [CURRENT.directory], {}, {}) for make in (crishim, containerd)]
        for server in servers:
            server.settings["plugins"].setdefault(_IMAGES, {})["registry"] = {"config_path": str(certificates)}
            progress(f"starting {server.name}")
            server.start()
            stack.callback(server.stop)
        return asyncio.run(_measure(servers, rounds, progress))


def image_table(results: dict[str, Result]) -> Table:
    """Medians on both sides, and their ratio, ours to theirs."""
    table = Table("image", "rpc", *results, "ratio", title="seconds, medians; cold pull with unpacking, then removal")
    ours, theirs = results.values()
    for (image, rpc), times in ours.seconds.items():
        sides = (median(times), median(theirs.seconds[image, rpc]))
        table.add_row(image, rpc, *(f"{side:.3f}" for side in sides), f"{sides[0] / sides[1]:.2f}")
    for image, memory in ours.memory.items():
        table.add_row(image, "peak MiB", f"{memory:.0f}", f"{theirs.memory[image]:.0f}", "")
    return table


async def _measure(servers: list[Daemon], rounds: int, progress: Callable[[str], Any]) -> dict[str, Result]:
    results = {server.name: Result() for server in servers}
    for (name, order), image in product(in_turns(rounds, servers), (SMALL, LARGE)):
        for server in order:
            progress(f"{name}: {server.name}, {image}")
            await _pull_and_remove(server, image, results[server.name])
    return results


async def _pull_and_remove(server: Daemon, image: str, result: Result) -> None:
    spec = pb.ImageSpec(image=f"registry.k8s.io/{image}")
    async with grpc.aio.insecure_channel(f"unix://{server.socket}") as channel:
        stub = ImageServiceStub(channel)
        await stub.ListImages(pb.ListImagesRequest())
        await asyncio.to_thread(os.sync)
        assert server.pid is not None
        _forget_peak(server.pid)
        begun = time.perf_counter()
        await stub.PullImage(pb.PullImageRequest(image=spec))
        result.seconds[image, "PullImage"].append(time.perf_counter() - begun)
        result.memory[image] = max(result.memory.get(image, 0.0), _peak(server.pid))
        await asyncio.to_thread(os.sync)
        begun = time.perf_counter()
        await stub.RemoveImage(pb.RemoveImageRequest(image=spec))
        result.seconds[image, "RemoveImage"].append(time.perf_counter() - begun)


def _forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # see proc(5): resets the peak of the resident set


def _peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) / 1024


@contextmanager
def _registry(directory: Path) -> Iterator[Path]:
    """The test images on loopback; the directory for registry.config_path."""
    command: list[str | Path] = [
        sys.executable,
        ROOT / "hack/images/registry",
        directory,
        "--port",
        str(_PORT),
        "--sized",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            _wait_for(directory / "ready", process)
            yield directory / "certs.d"
        finally:
            process.terminate()
            process.wait()
            shutil.rmtree(directory, ignore_errors=True)


def _wait_for(ready: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _READY_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > end:
            sys.exit("the registry of test images did not become ready")
        time.sleep(0.1)
