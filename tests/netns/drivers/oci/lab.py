"""Containers of busybox on a throw-away host, made by the OCI driver, and what they leave behind."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from crishim.core.config.types import RuntimeHandler
from crishim.drivers.cgroups.groups import ControlGroups
from crishim.drivers.infra.dressing import InfraProcess
from crishim.drivers.oci.driver import DEFAULT_LIMITS, Limits, OciDriver
from crishim.drivers.oci.handlers import probe
from crishim.model.container import Container, ContainerConfig, ContainerMetadata, ImageSpec
from crishim.model.process import Started
from crishim.model.sandbox import NamespacePaths
from hack.hugetlb import mount_hugetlb
from hack.images.catalog import static_busybox_program

STATE, ROOTFS = Path("/run/crishim"), Path("/run/rootfs")
CGROUPS = Path("/sys/fs/cgroup")
_APPLETS = (
    "sh",
    "sleep",
    "cat",
    "echo",
    "true",
    "false",
    "setsid",
    "dd",
    "yes",
    "kill",
    "ps",
    "stty",
    "trap",
    "env",
    "wc",
)
_NAMESPACES = ("pid", "mount", "ipc", "uts", "network", "cgroup")
_CAPABILITIES = ("CAP_KILL", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_DAC_OVERRIDE")
_MOUNTS = (
    ("/proc", "proc", ()),
    ("/dev", "tmpfs", ("nosuid", "mode=755")),
    ("/dev/pts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")),
    ("/tmp", "tmpfs", ()),
)


def process(*args: str, **others: Any) -> dict[str, Any]:
    """An OCI process."""
    capabilities = dict.fromkeys(("bounding", "effective", "permitted"), _CAPABILITIES)
    user = {"uid": 0, "gid": 0}
    return {"args": args, "cwd": "/", "env": ["PATH=/bin"], "user": user, "capabilities": capabilities, **others}


def make_host() -> None:
    """A root file system for containers; and hugetlb where crun wants it."""
    (ROOTFS / "bin").mkdir(parents=True)
    for directory in ("proc", "dev", "tmp", "sys"):
        (ROOTFS / directory).mkdir()
    shutil.copy(static_busybox_program(), ROOTFS / "bin/busybox")
    for applet in _APPLETS:
        (ROOTFS / "bin" / applet).symlink_to("busybox")
    mount_hugetlb()


class Lab:
    """One driver and its containers. ``runtime`` is the name or path of an OCI runtime."""

    def __init__(self, runtime: str, parent: str) -> None:
        self.runtime, self.parent = runtime, parent
        self.driver: OciDriver

    async def open(self, runtime: str = "", limits: Limits = DEFAULT_LIMITS, conmon: str = "conmon") -> OciDriver:
        """Make the driver, as a server does at its start; again: as after a restart."""
        handlers = await probe({"test": RuntimeHandler(binary_name=runtime or self.runtime)})
        groups = await ControlGroups.open()
        self.driver = OciDriver(STATE / "oci", handlers, groups, conmon=conmon, limits=limits)
        await self.driver.prepare()
        return self.driver

    def container(self, container_id: str = "c1", **config: Any) -> Container:
        """The record of a container that is not made yet."""
        log_path = str(STATE / "logs" / f"{container_id}.log")
        asked = ContainerConfig(ContainerMetadata(container_id), ImageSpec("busybox"), **config)
        return Container(
            id=container_id,
            sandbox_id="pod",
            config=asked,
            runtime_handler="test",
            created_at=0,
            boot_id="",
            log_path=log_path,
        )

    def group(self, container_id: str = "c1") -> str:
        """The control group of a container."""
        return f"{self.parent}/{container_id}"

    def bundle(self, container_id: str = "c1") -> Path:
        """The bundle of a container."""
        return STATE / "containers" / container_id

    def spec(self, container_id: str, *args: str, memory: int = 64 << 20, **others: Any) -> dict[str, Any]:
        """The OCI configuration of a container of busybox."""
        own = dict.fromkeys(_NAMESPACES, True) | others.pop("namespaces", {})
        return {
            "ociVersion": "1.0.2",
            "process": process(*args, **others),
            "root": {"path": str(ROOTFS)},
            "mounts": [{"destination": at, "type": kind, "source": kind, "options": o} for at, kind, o in _MOUNTS],
            "linux": {
                "namespaces": [{"type": kind} for kind, wanted in own.items() if wanted],
                "cgroupsPath": self.group(container_id),
                "resources": {"memory": {"limit": memory}},
            },
        }

    async def create(
        self, *args: str, container_id: str = "c1", config: Mapping[str, Any] | None = None, **others: Any
    ) -> Container:
        """Make a container that is to run ``args``."""
        container = self.container(container_id, **(config or {}))
        spec = self.spec(container_id, *args, terminal=container.config.tty, **others)
        async with self.driver.making(container, self.bundle(container_id)) as making:
            return with_process(container, await making.make(spec))

    async def run(self, *args: str, **others: Any) -> Container:
        """Make a container and start it."""
        container = await self.create(*args, **others)
        await self.driver.start(container)
        return container

    async def run_unwatched(self, *args: str) -> Container:
        """Make a container without a monitor that runs."""
        container = self.container()
        spec = self.spec(container.id, *args)
        return with_process(container, await self.driver.run(container, self.bundle(), spec))

    async def run_infra(
        self, container_id: str = "c1", joined: NamespacePaths | None = None, oom_score_adj: int | None = None
    ) -> Container:
        """Start an infra process, which joins no namespaces and has this process's score unless told otherwise."""
        container = replace(self.container(container_id), infra=True)
        wanted = InfraProcess(joined or NamespacePaths(), own_score() if oom_score_adj is None else oom_score_adj)
        return with_process(container, await self.driver.start_infra(container, self.bundle(container_id), wanted))

    def log(self, container_id: str = "c1") -> str:
        """What a container has written, without the times."""
        text = (STATE / "logs" / f"{container_id}.log").read_text()
        return "".join(line.split(" ", 1)[1] for line in text.splitlines(keepends=True))

    def logs(self) -> list[str]:
        """Of which containers there are logs."""
        return [path.stem for path in (STATE / "logs").glob("*.log")]

    def processes(self, container_id: str = "c1") -> list[str]:
        """The ids of the processes of a container."""
        return self.group_file("pids", "cgroup.procs", "cgroup.procs", container_id).split()

    def group_file(self, controller: str, v1: str, v2: str, container_id: str = "c1") -> str:
        """A file of a container's control group, under either of its names."""
        group = self.group(container_id).lstrip("/")
        candidates = (CGROUPS / controller / group / v1, CGROUPS / group / v2, CGROUPS / "unified" / group / v2)
        return next(path for path in candidates if path.exists()).read_text()

    @property
    def root(self) -> Path:
        """Where the driver keeps the state of OCI runtimes."""
        return STATE / "oci/runtimes"

    def state(self, directory: str) -> list[str]:
        """What is in one of the driver's directories."""
        return [path.name for path in (STATE / "oci" / directory).iterdir()]

    def leftovers(self) -> list[str]:
        """Every file, group and process of a container, bundles and logs excepted."""
        files = [str(path) for path in (STATE / "oci").rglob("*") if not path.is_dir()]
        states = [str(path) for path in (STATE / "oci/runtimes").glob("*/*")]
        bundles = [str(path) for path in STATE.glob("containers/*/*") if path.name not in ("config.json", "exit")]
        groups = [str(path) for path in CGROUPS.glob(f"*{self.parent}/*/")]
        return [*files, *states, *bundles, *groups, *processes()]

    async def close(self) -> None:
        """End all that is left, and remove the groups."""
        await (await ControlGroups.open()).remove(self.parent)


def with_process(container: Container, made: Started) -> Container:
    """The record with its process."""
    return replace(container, pid=made.pid, pid_start=made.pid_start)


def own_score() -> int:
    """The oom_score_adj of this process; a lower one may be refused."""
    return int(Path("/proc/self/oom_score_adj").read_text())


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 10.0) -> None:
    """Wait for what a test cannot be told of."""
    for _ in range(int(seconds / 0.01)):
        answer = condition()
        if answer if isinstance(answer, bool) else await answer:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{condition} did not come true within {seconds} s")


def processes() -> list[str]:
    """The living processes but this one and pid 1, as "pid name"."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in (1, os.getpid()):
            with suppress(FileNotFoundError, ProcessLookupError):
                name, _, rest = (entry / "stat").read_text().rpartition(")")
                if rest.split()[0] not in "ZX":
                    found.append(f"{entry.name} {name.partition('(')[2]}")
    return found
