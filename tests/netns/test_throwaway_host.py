"""The ground the other tests of this directory stand on."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from cni_runtime.testing.host import Host
from cni_runtime.testing.throwaway import ThrowawayHostError, run_on_throwaway_host
from tests.netns.conftest import pytest_runtest_protocol


class Elsewhere(pytest.Item):
    """A test of another directory."""

    def runtest(self) -> None:
        """Do nothing."""


def test_only_loopback_exists_and_it_is_up(host_netns: Host) -> None:
    assert {path.name for path in Path("/sys/class/net").iterdir()} == {"lo"}
    assert host_netns.can_reach("127.0.0.1")


@pytest.mark.parametrize("attempt", [1, 2])
def test_files_devices_and_processes_of_one_test_are_unseen_by_the_next(host_netns: Host, attempt: int) -> None:
    places = [Path("/var/lib/cni"), Path("/etc/cni"), Path("/run/cni")]
    assert not any(place.exists() for place in places), attempt
    assert (host_netns.links(), host_netns.processes()) == (set(), set())
    for place in places:
        place.mkdir()
    host_netns.run("ip", "link", "add", "left", "type", "bridge")
    os.posix_spawnp("sleep", ["sleep", "60"], os.environ)


def test_a_namespace_made_here_can_be_entered(host_netns: Host) -> None:
    netns = host_netns.add_netns("pod")
    host_netns.run("ip", "link", "add", "inside", "type", "bridge", netns=netns)
    assert (host_netns.links(netns=netns), host_netns.links()) == ({"inside"}, set())


def test_mounts_below_run_are_neither_seen_nor_touched(host_netns: Host) -> None:
    host_netns.add_netns("pod")
    Path("/run/pod").mkdir()
    host_netns.run("mount", "-t", "tmpfs", "none", "/run/pod")
    before = _mounted_below_run()
    assert "/run/pod" in before
    assert run_on_throwaway_host(lambda: "\n".join(_mounted_below_run()).encode()) == b""
    assert _mounted_below_run() == before


def _mounted_below_run() -> list[str]:
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if point.startswith("/run/")]


def test_the_cgroup_mounts_are_kept() -> None:
    assert any(Path("/sys/fs/cgroup").iterdir())


def test_leavings_show_devices_files_rules_and_processes(host_netns: Host) -> None:
    before = host_netns.leavings()
    host_netns.run("ip", "link", "add", "left", "type", "bridge")
    host_netns.run("nft", "add", "table", "ip", "left")
    host_netns.add_netns("left")
    sleeper = os.posix_spawnp("sleep", ["sleep", "60"], os.environ)
    after = host_netns.leavings()
    assert after.links - before.links == {"left"}
    assert after.files - before.files == {"/run/netns/left"}
    assert len(after.rules - before.rules) == 1
    assert after.processes - before.processes == {f"{sleeper} sleep"}


def test_a_test_of_another_directory_needs_no_host(request: pytest.FixtureRequest) -> None:
    assert pytest_runtest_protocol(Elsewhere.from_parent(request.session, name="elsewhere")) is None


def test_an_exception_comes_back_with_its_traceback() -> None:
    with pytest.raises(ThrowawayHostError, match="ZeroDivisionError"):
        run_on_throwaway_host(lambda: bytes(1 // 0))


def test_a_child_that_dies_is_reported() -> None:
    def die() -> bytes:
        signal.raise_signal(signal.SIGKILL)
        return b""

    with pytest.raises(ThrowawayHostError, match="status 137"):
        run_on_throwaway_host(die)


def test_a_child_that_hangs_is_killed_with_all_its_processes(host_netns: Host) -> None:
    def hang() -> bytes:
        subprocess.run(["sleep", "60"], check=False)
        return b""

    with pytest.raises(ThrowawayHostError, match=r"no answer within 0\.2 s"):
        run_on_throwaway_host(hang, timeout=0.2)
    assert host_netns.processes() == set()
