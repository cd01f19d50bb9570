from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from crishim.drivers.preflight import Check, Requirements, check_node

pytestmark = pytest.mark.anyio

MEMORY = Path("/dev/shm/not/there/yet")  # a tmpfs on every Linux
SWITCHES = ("ipv4/ip_forward", "bridge/bridge-nf-call-iptables")


def make_proc(root: Path, *, uid: int, capabilities: int, switch: str) -> Path:
    (root / "self").mkdir(parents=True)
    (root / "self/status").write_text(f"Name:\tx\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nCapEff:\t{capabilities:016x}\n")
    for name in SWITCHES:
        (root / "sys/net" / name).parent.mkdir(parents=True)
        (root / "sys/net" / name).write_text(f"{switch}\n")
    (root / "self/mountinfo").write_bytes(Path("/proc/self/mountinfo").read_bytes())
    return root


async def check(requirements: Requirements, proc: Path) -> dict[str, Check]:
    return {check.name: check for check in await check_node(requirements, proc)}


async def test_a_fit_node(tmp_path: Path) -> None:
    proc = make_proc(tmp_path / "proc", uid=0, capabilities=1 << 12 | 1 << 21, switch="1")
    requirements = Requirements(
        tmp_path / "netns", MEMORY, (tmp_path,), (tmp_path,), {"crun": shutil.which("true") or ""}
    )
    checks = await check(requirements, proc)
    expected = {"root", "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "ip_forward", "bridge netfilter", "netns dir"}
    expected |= {"runtime crun", "CNI conf dir", "CNI bin dir", "state directory"}
    assert {name for name in expected if not checks[name].ok} == set()


async def test_an_unfit_node_says_what_is_wrong(tmp_path: Path) -> None:
    proc = make_proc(tmp_path / "proc", uid=1000, capabilities=0, switch="0")
    missing = tmp_path / "missing"
    (tmp_path / "file").touch()
    requirements = Requirements(
        tmp_path / "file/netns", Path("/proc"), (missing,), (missing,), {"x": "no-such-runtime"}
    )
    checks = await check(requirements, proc)
    assert [check.name for check in checks.values() if check.ok] in ([], ["cgroups"], ["nft"], ["cgroups", "nft"])
    assert checks["root"].message == "runs as user 1000"
    assert checks["ip_forward"].message.endswith("ip_forward is 0: pods reach nothing outside the node")
    assert checks["netns dir"].message == f"{tmp_path}/file is not a directory"
    assert checks["state directory"].message == "/proc is on proc, not in memory: everything waits for its disk"
    assert checks["runtime x"].message.startswith("no-such-runtime was not found in ")


async def test_a_missing_proc_is_no_crash(tmp_path: Path) -> None:
    checks = await check(Requirements(tmp_path, tmp_path), tmp_path)
    assert checks["root"].message == "runs as user unknown"
    assert "is not there" in checks["bridge netfilter"].message
    assert "is on an unknown file system" in checks["state directory"].message
