"""Containers under a real OCI runtime, made from nothing but an OCI configuration and a busybox."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from crishim.container.spec.build import build_spec
from crishim.container.spec.inputs import HostFacts, PodFiles, SpecInputs
from crishim.container.spec.user import resolve_user
from crishim.container.validate import check_config
from crishim.model.container import Container, ContainerConfig, ContainerMetadata, ImageSpec
from crishim.model.pod import NamespaceMode, NamespaceOptions, PodConfig, PodMetadata, SandboxSecurity
from crishim.model.sandbox import Sandbox
from hack.images.catalog import static_busybox_program

PASSWD = "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"
GROUP = "root:x:0:\napp:x:1000:\nextra:x:2000:app\n"
CGROUP_PARENT = "/crishim-spec-test"

OWN_PID = NamespaceOptions(pid=NamespaceMode.CONTAINER)
SANDBOX = Sandbox(
    id="5" * 64,
    config=PodConfig(
        PodMetadata("web", "u1", "shop"),
        hostname="web",
        cgroup_parent=CGROUP_PARENT,
        security=SandboxSecurity(NamespaceOptions(pid=NamespaceMode.CONTAINER), privileged=True),
    ),
    runtime_handler="oci",
    created_at=1,
    boot_id="b",
)


def asked(*command: str, **more: Any) -> ContainerConfig:
    """A container that runs ``command``."""
    return ContainerConfig(ContainerMetadata("c"), ImageSpec("busybox"), command=command, **more)


class Bundle(Struct, frozen=True):
    """A directory for a container, and the runtime to run it with."""

    runtime: str
    directory: Path
    host: HostFacts

    @property
    def rootfs(self) -> Path:
        """The container's root."""
        return self.directory / "rootfs"

    def inputs(self, config: ContainerConfig, **more: Any) -> SpecInputs:
        """All that the configuration of a container is made of."""
        files = {name: self._pod_file(name) for name in ("hostname", "hosts", "resolv_conf")}
        container = Container(
            id="c" * 64,
            sandbox_id=SANDBOX.id,
            config=config,
            runtime_handler="oci",
            created_at=1,
            boot_id="b",
            resources=config.resources,
        )
        made = SpecInputs(
            container=container,
            sandbox=SANDBOX,
            image_config={},
            rootfs=str(self.rootfs),
            files=PodFiles(**files, shm="/dev/shm"),
            user=resolve_user(config, {}, PASSWD, GROUP),
            host=self.host,
            hostname="node",
        )
        return replace(made, **more)

    def run(self, config: ContainerConfig, **more: Any) -> str:
        """What a container writes that was checked, made, started and deleted."""
        inputs = self.inputs(config, **more)
        check_config(config, inputs.sandbox, inputs.host)
        return self.run_spec(build_spec(inputs))

    def run_spec(self, spec: dict[str, Any]) -> str:
        """The same of a configuration that is made already."""
        (self.directory / "config.json").write_text(json.dumps(spec))
        return self.call("run", "--bundle", str(self.directory), self.directory.name)

    def call(self, *arguments: str) -> str:
        """What the runtime writes; raises with what it says when it fails."""
        done = subprocess.run([self.runtime, *arguments], capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            raise AssertionError(f"{self.runtime} {arguments[0]}: {done.returncode}: {done.stderr or done.stdout}")
        return done.stdout

    def start(self, name: str, spec: dict[str, Any]) -> int:
        """Start a container that goes on, and return its pid."""
        (self.directory / "config.json").write_text(json.dumps(spec))
        file = self.directory / f"{name}.pid"
        options = ("--detach", "--pid-file", str(file), "--bundle", str(self.directory))
        # No pipes: the container would keep them open.
        subprocess.run([self.runtime, "run", *options, name], stdout=subprocess.DEVNULL, timeout=30, check=True)
        return int(file.read_text())

    def _pod_file(self, name: str) -> str:
        file = self.directory / name
        file.write_text(f"pod {name}\n")
        return str(file)


def make_bundle(runtime: str, directory: Path, host: HostFacts) -> Bundle:
    """A bundle whose root holds busybox and a user or two."""
    rootfs = directory / "rootfs"
    (rootfs / "bin").mkdir(parents=True)
    (rootfs / "etc").mkdir()
    shutil.copy(static_busybox_program(), rootfs / "bin/busybox")
    for name in ("sh", "cat", "id", "env", "grep", "ls", "pwd", "touch", "sleep", "stat", "unshare", "mount"):
        (rootfs / "bin" / name).symlink_to("busybox")
    (rootfs / "etc/passwd").write_text(PASSWD)
    (rootfs / "etc/group").write_text(GROUP)
    return Bundle(runtime, directory, host)


def remove_cgroups() -> None:
    """Remove the pod's control group, which no runtime does."""
    for hierarchy in Path("/sys/fs/cgroup").iterdir():
        group = hierarchy / CGROUP_PARENT.lstrip("/")
        if group.is_dir():
            group.rmdir()
