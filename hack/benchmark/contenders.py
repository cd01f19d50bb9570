"""The CRI servers that are compared: each on a throw-away host of its own, with an image to make containers of."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from json import dumps
from pathlib import Path
from typing import Any

import grpc
from msgspec import Struct

from hack.benchmark.rounds import in_turns
from hack.benchmark.timed import Times
from hack.hugetlb import mounted_hugetlb
from tests.lab.conflists import CURRENT, PORTMAP, ROOT, bridge, conflist
from tests.lab.daemon import TOOLS, Containerd, Daemon, containerd, crishim

IMAGE = "docker.io/library/busybox:latest"
PEER = "containerd"
# Control groups are not part of a throw-away host; below this parent those of this run are found again.
CGROUP = f"crishim-bench-{secrets.token_hex(4)}"
_CGROUPS = Path("/sys/fs/cgroup")
_END_SECONDS = 20
_RUNTIME = "io.containerd.cri.v1.runtime"
_NETWORK = conflist("bench", bridge("cni0", "10.88.0.0/16"), PORTMAP)


class Contender(Struct, frozen=True):
    """A server that runs; ``name`` tells it apart in the tables."""

    name: str
    server: Daemon


@contextmanager
def contenders(runtimes: Sequence[str], plugins: str) -> Iterator[list[Contender]]:
    """crishim on each of the OCI ``runtimes``, and containerd; nothing of them is left on the machine afterwards."""
    with ExitStack() as stack:
        stack.enter_context(mounted_hugetlb())
        home = stack.enter_context(_directory())
        archive = home / "busybox.tar"
        subprocess.run([sys.executable, ROOT / "hack/images/archive", archive, IMAGE], check=True)
        found = [Contender(f"crishim {runtime}", _crishim(home / runtime, runtime, plugins)) for runtime in runtimes]
        found.append(Contender(PEER, containerd(home / PEER, [CURRENT.directory], {}, {})))
        for contender in found:
            stack.enter_context(_in_memory(contender.server.home / "state"))
            stack.enter_context(_running(contender.server, archive))
        yield found


def compare_in_turns(
    runtimes: Sequence[str], rounds: int, measure: Callable[[Contender, Times], None], progress: Callable[[str], Any]
) -> dict[str, Times]:
    """The times that ``measure`` added for each server, called once in each round. Nothing is left on the machine."""
    with contenders(runtimes, "builtin") as found:
        measured: dict[str, Times] = {contender.name: defaultdict(list) for contender in found}
        for name, order in in_turns(rounds, found):
            for contender in order:
                progress(f"{name}: {contender.name}")
                measure(contender, measured[contender.name])
        return measured


def _crishim(home: Path, runtime: str, plugins: str) -> Daemon:
    server = crishim(home, [CURRENT.directory], {}, {"plugins": plugins})
    options = {"runtime_type": "io.containerd.runc.v2", "options": {"BinaryName": runtime}}
    server.settings["plugins"][_RUNTIME]["containerd"] = {
        "default_runtime_name": runtime,
        "runtimes": {runtime: options},
    }
    return server


@contextmanager
def _in_memory(directory: Path) -> Iterator[None]:
    """A file system in memory at ``directory``, as /run is on most nodes."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "state", directory], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


@contextmanager
def _running(server: Daemon, archive: Path) -> Iterator[None]:
    (server.conf_dir / "10-bench.conflist").write_text(dumps(_NETWORK))
    try:
        server.start(host=[ROOT / "hack/throwaway"])
        _import(server, archive)
        yield
    except grpc.RpcError:
        print(server.tail())
        raise
    finally:
        server.kill()  # it is the throw-away host that is killed, and with it all that runs there


def _import(server: Daemon, archive: Path) -> None:
    ctr = (TOOLS / "ctr", "--address", server.socket, "--namespace", "k8s.io", "images", "import")
    own = (Path(sys.executable).with_name("crishim"), "image", "import", "--address", server.socket)
    client = ctr if isinstance(server, Containerd) else own
    subprocess.run([*client, archive], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def _directory() -> Iterator[Path]:
    """A temporary directory; afterwards also the control groups are removed."""
    path = tempfile.mkdtemp(prefix="crishim-bench-", dir="/tmp")
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)
        end = time.monotonic() + _END_SECONDS
        while not all(map(_remove_groups, (*_CGROUPS.glob(f"*/{CGROUP}"), _CGROUPS / CGROUP))):
            if time.monotonic() > end:
                sys.exit(f"control groups are left: {CGROUP}")
            time.sleep(0.1)


def _remove_groups(group: Path) -> bool:
    """Remove a control group and those below it; False while a process of a host that was killed is in one of them."""
    for directory, _, _ in os.walk(group, topdown=False):
        with suppress(OSError):
            Path(directory).rmdir()
    return not group.exists()
