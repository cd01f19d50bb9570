"""Real OCI runtimes take our configurations, and the containers are what was asked for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from crishim.container.spec.build import build_spec
from crishim.container.spec.capabilities import DEFAULT_CAPABILITIES
from crishim.container.spec.infra import infra_spec
from crishim.container.spec.process import exec_process
from crishim.core.capability_names import CAPABILITIES
from crishim.drivers.cdi import CdiDeviceNode, CdiHook, CdiMount, ContainerEdits
from crishim.drivers.cgroups import CgroupMode
from crishim.drivers.devices import stat_device
from crishim.model.container import Capabilities, ContainerSecurity, Device, ImageSpec, Mount, MountPropagation
from crishim.model.pod import Resources, SecurityProfile
from tests.lab.node import eventually
from tests.netns.containers.oci import OWN_PID, SANDBOX, Bundle, asked

pytestmark = pytest.mark.anyio

STATUS = ("grep", "-E", "CapBnd|CapEff|CapAmb|NoNewPrivs|Seccomp:", "/proc/self/status")


def secured(**more: Any) -> ContainerSecurity:
    return ContainerSecurity(namespaces=OWN_PID, **more)


def mask(*names: str) -> str:
    return f"{sum(1 << CAPABILITIES.index(name) for name in names):016x}"


async def test_the_least(bundle: Bundle) -> None:
    default = mask(*DEFAULT_CAPABILITIES & bundle.host.capabilities)
    lines = bundle.run(asked(*STATUS, security=secured())).split()
    assert lines == [
        *("CapEff:", default),
        *("CapBnd:", default),
        *("CapAmb:", mask()),
        *("NoNewPrivs:", "0"),
        *("Seccomp:", "0"),
    ]


async def test_environment_and_directory(bundle: Bundle) -> None:
    config = asked("sh", "-c", "env; pwd", envs=(("A", b"\xc3\xa4 b"),), working_dir="/made/here", security=secured())
    lines = bundle.run(config).splitlines()
    assert {"A=ä b", "HOSTNAME=web", "HOME=/root"} <= set(lines)
    assert lines[-1] == "/made/here"


async def test_user_and_groups(bundle: Bundle) -> None:
    security = secured(run_as_username="app", supplemental_groups=(3000,))
    assert bundle.run(asked("id", security=security)).strip() == (
        "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra),3000"
    )


async def test_capabilities_of_a_user(bundle: Bundle) -> None:
    capabilities = Capabilities(add=("NET_ADMIN",), drop=("ALL",), add_ambient=("NET_ADMIN",))
    config = asked(*STATUS, security=secured(capabilities=capabilities, run_as_user=1000, no_new_privs=True))
    only = mask("CAP_NET_ADMIN")
    assert bundle.run(config).split()[1:8:2] == [only, only, only, "1"]


async def test_privileged(bundle: Bundle) -> None:
    script = f"{' '.join(STATUS[:2])} '{STATUS[2]}' {STATUS[3]}; grep ' /sys ' /proc/mounts; ls /dev"
    config = asked("sh", "-c", script, security=secured(privileged=True, seccomp=SecurityProfile()))
    words = bundle.run(config).split()
    assert words[1] == mask(*bundle.host.capabilities)
    assert "rw" in words[13].split(",")
    assert set(words) >= {Path(node.path).name for node in bundle.host.devices if node.path.count("/") == 2}


async def test_read_only_root_and_guarded_paths(bundle: Bundle) -> None:
    script = "touch /new; touch /bin/new; cat /proc/version; touch /proc/sys/kernel/hostname; pwd"
    security = secured(readonly_rootfs=True, masked_paths=("/proc/version",), readonly_paths=("/proc/sys",))
    config = asked("sh", "-c", f"({script}) 2>&1", security=security)
    assert [line.rpartition(": ")[2] for line in bundle.run(config).splitlines()] == [
        *3 * ["Read-only file system"],
        "/",
    ]


async def test_mounts(bundle: Bundle, tmp_path: Path) -> None:
    for name in ("outer", "inner", "image"):
        (tmp_path / name).mkdir()
    (tmp_path / "inner/file").write_text("inside\n")
    (tmp_path / "hosts").write_text("my own\n")
    mounts = (
        Mount("/data/deep", str(tmp_path / "inner"), readonly=True, mount_options=("noexec", "nosuid")),
        Mount("/data", str(tmp_path / "outer"), propagation=MountPropagation.HOST_TO_CONTAINER),
        Mount("/etc/hosts", str(tmp_path / "hosts")),
        Mount("/volume", image=ImageSpec("i"), readonly=True),
    )
    script = "cat /data/deep/file /etc/hosts /etc/hostname; touch /data/deep/x /volume/x 2>&1; grep deep /proc/mounts"
    config = asked("sh", "-c", script, mounts=mounts, security=secured())
    output = bundle.run(config, image_mounts={"/volume": str(tmp_path / "image")}).splitlines()
    assert output[:3] == ["inside", "my own", "pod hostname"]
    assert [line.rpartition(": ")[2] for line in output[3:5]] == 2 * ["Read-only file system"]
    assert {"ro", "noexec", "nosuid"} <= set(output[5].split()[3].split(","))


async def test_image_volumes(bundle: Bundle, tmp_path: Path) -> None:
    bundle.run(asked("touch", "/var/cache/x", security=secured()), volumes={"/var/cache": str(tmp_path)})
    assert (tmp_path / "x").exists()


@pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="needs a device that containers do not get anyhow")
@pytest.mark.parametrize(("permissions", "opened"), [("r", "1"), ("rw", "0")])
async def test_devices(bundle: Bundle, permissions: str, opened: str) -> None:
    device = Device(container_path="/dev/given", host_path="/dev/fuse", permissions=permissions)
    found = {"/dev/fuse": await stat_device("/dev/fuse")}
    config = asked(
        "sh",
        "-c",
        "stat -c %t:%T /dev/given; (: >>/dev/given) 2>/dev/null; echo $?; : </dev/given",
        devices=(device,),
        security=secured(),
    )
    assert bundle.run(config, devices=found).split() == ["a:e5", opened]


async def test_a_directory_of_devices_may_have_a_fifo_in_it(bundle: Bundle, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o640)
    found = {str(tmp_path): await stat_device(str(tmp_path))}
    device = Device(container_path="/dev/given", host_path=str(tmp_path), permissions="rw")
    config = asked("stat", "-c", "%F", "/dev/given/fifo", devices=(device,), security=secured())
    assert bundle.run(config, devices=found) == "fifo\n"


async def test_limits(bundle: Bundle) -> None:
    resources = Resources(cpu_shares=512, cpu_quota=50000, cpu_period=100000, memory_limit_in_bytes=64 << 20)
    if bundle.host.cgroup_mode is CgroupMode.V2:
        script, expected = "cd /sys/fs/cgroup; cat memory.max cpu.max", [str(64 << 20), "50000", "100000"]
    else:
        files = "memory/memory.limit_in_bytes cpu/cpu.shares cpu/cpu.cfs_quota_us"
        script, expected = f"cd /sys/fs/cgroup; cat {files}", [str(64 << 20), "512", "50000"]
    config = asked("sh", "-c", script, resources=resources, security=secured())
    assert bundle.run(config).split() == expected


async def test_oom_score_adj(bundle: Bundle) -> None:
    config = asked("cat", "/proc/self/oom_score_adj", resources=Resources(oom_score_adj=500), security=secured())
    assert bundle.run(config).strip() == "500"
    config = replace(config, resources=Resources(oom_score_adj=-900))
    assert int(bundle.run(config)) == max(-900, bundle.host.oom_score_adj_min)


async def test_open_files(bundle: Bundle) -> None:
    host = replace(bundle.host, open_files=(200, 300))
    assert bundle.run(asked("sh", "-c", "ulimit -Sn; ulimit -Hn", security=secured()), host=host).split() == [
        "200",
        "300",
    ]


async def test_cdi(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "driver").mkdir()
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    edits = ContainerEdits(
        env=("CARD=0",),
        device_nodes=(CdiDeviceNode("/dev/card", type="c", major=1, minor=5),),
        mounts=(CdiMount(str(tmp_path / "driver"), "/driver", ("bind", "ro")),),
        hooks=(CdiHook("createRuntime", str(hook), (str(hook),)),),
        additional_gids=(44,),
    )
    config = asked("sh", "-c", "echo $CARD; stat -c %t:%T /dev/card; id; ls -d /driver", security=secured())
    output = bundle.run(config, cdi_edits=(edits,)).splitlines()
    assert (output[0], output[1], output[3], (tmp_path / "ran").exists()) == ("0", "1:5", "/driver", True)
    assert "44" in output[2]


async def test_exec_and_infra(bundle: Bundle) -> None:
    """The infra container holds the PID namespace, another one joins it, and a command runs in that one."""
    bundle.rootfs.rename(bundle.directory / "busybox")
    bundle.rootfs.mkdir()
    spec = infra_spec("i" * 64, SANDBOX, str(bundle.rootfs), "/usr/bin/catatonit", bundle.host)
    pid = bundle.start("infra", spec)
    arguments = Path(f"/proc/{pid}/cmdline")
    assert eventually(
        lambda: arguments.read_text().startswith("/catatonit")
    )  # the OCI runtime does not wait for execve(2)
    try:
        inputs = bundle.inputs(
            asked("sleep", "1000", security=ContainerSecurity()), pid_namespace=f"/proc/{pid}/ns/pid"
        )
        spec = build_spec(replace(inputs, rootfs=str(bundle.directory / "busybox")))
        bundle.start("joined", spec)
        process = exec_process(spec["process"], ["cat", "/proc/1/cmdline"], tty=False)
        (bundle.directory / "process.json").write_text(json.dumps(process))
        output = bundle.call("exec", "--process", str(bundle.directory / "process.json"), "joined")
        assert output.split("\0") == ["/catatonit", "-P", ""]
    finally:
        for name in ("joined", "infra"):
            bundle.call("delete", "--force", name)
