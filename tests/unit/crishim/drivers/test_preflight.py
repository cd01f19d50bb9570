from __future__ import annotations

import re
from pathlib import Path

import pytest

from crishim.drivers.oci.handlers import Handler, Handlers
from crishim.drivers.preflight import Check, NeededProfile, Requirements, check_node

pytestmark = pytest.mark.anyio

MEMORY = Path("/dev/shm/not/there/yet")  # a tmpfs on every Linux
CHOSEN = Handler(name="fast", program=Path("/usr/bin/runc"))
RUNTIMES = Handlers({"fast": CHOSEN, "": CHOSEN}, {})  # the default one is known by no name as well
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
    requirements = Requirements(tmp_path / "netns", MEMORY, (tmp_path,), (tmp_path,), RUNTIMES)
    checks = await check(requirements, proc)
    expected = {"root", "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "ip_forward", "bridge netfilter", "netns dir"}
    expected |= {"runtime fast", "CNI conf dir", "CNI bin dir", "state directory"}
    assert {name for name in expected if not checks[name].ok} == set()


async def test_an_unfit_node_says_what_is_wrong(tmp_path: Path) -> None:
    proc = make_proc(tmp_path / "proc", uid=1000, capabilities=0, switch="0")
    missing = tmp_path / "missing"
    (tmp_path / "file").touch()
    runtimes = Handlers({}, {"x": "it is broken"})
    requirements = Requirements(tmp_path / "file/netns", Path("/proc"), (missing,), (missing,), runtimes)
    checks = await check(requirements, proc)
    assert [check.name for check in checks.values() if check.ok] in ([], ["cgroups"], ["nft"], ["cgroups", "nft"])
    assert checks["root"].message == "runs as user 1000"
    assert checks["ip_forward"].message.endswith("ip_forward is 0: pods reach nothing outside the node")
    assert checks["netns dir"].message == f"{tmp_path}/file is not a directory"
    assert checks["state directory"].message == "/proc is on proc, not in memory: everything waits for its disk"
    assert checks["runtime x"].message == "it is broken"


async def test_the_runtime_that_was_chosen_is_told(tmp_path: Path) -> None:
    checks = await check(Requirements(tmp_path, tmp_path, runtimes=RUNTIMES), tmp_path)
    runtimes = {name: check.message for name, check in checks.items() if name.startswith("runtime")}
    assert runtimes == {"runtime fast": "/usr/bin/runc"}


@pytest.mark.parametrize(
    ("loaded", "problem", "ok", "message"),
    [
        ("p (enforce)\n", "", True, "p is loaded"),
        ("p (enforce)\n", "it was broken", True, "p is loaded"),  # somebody has loaded it since
        ("q (enforce)\n", "it was broken", False, "p is not loaded, .*: it was broken"),
        ("", "", False, "p is not loaded, .*: it was taken away"),
    ],
)
async def test_the_apparmor_profile(tmp_path: Path, loaded: str, problem: str, ok: bool, message: str) -> None:
    profiles = tmp_path / "kernel/security/apparmor/profiles"
    profiles.parent.mkdir(parents=True)
    profiles.write_text(loaded)
    requirements = Requirements(tmp_path, tmp_path, apparmor=NeededProfile("p", problem))
    (found,) = [one for one in await check_node(requirements, tmp_path, tmp_path) if one.name == "AppArmor profile"]
    assert found.ok is ok
    assert re.fullmatch(message, found.message)


async def test_no_apparmor_is_no_fault(tmp_path: Path) -> None:
    assert "AppArmor profile" not in await check(Requirements(tmp_path, tmp_path), tmp_path)


@pytest.mark.parametrize(("problem", "ok"), [("", True), ("no such label", False)])
async def test_the_labels_of_selinux(tmp_path: Path, problem: str, ok: bool) -> None:
    found = (await check(Requirements(tmp_path, tmp_path, selinux=problem), tmp_path))["SELinux labels"]
    assert found.ok is ok
    assert problem in found.message


async def test_no_selinux_is_no_fault(tmp_path: Path) -> None:
    assert "SELinux labels" not in await check(Requirements(tmp_path, tmp_path), tmp_path)


async def test_a_missing_proc_is_no_crash(tmp_path: Path) -> None:
    checks = await check(Requirements(tmp_path, tmp_path), tmp_path)
    assert checks["root"].message == "runs as user unknown"
    assert "is not there" in checks["bridge netfilter"].message
    assert "is on an unknown file system" in checks["state directory"].message
