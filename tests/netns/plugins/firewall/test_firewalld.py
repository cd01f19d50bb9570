"""firewall with firewalld's D-Bus interface, on a bus of the test's own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cni_runtime.call import Verb
from cni_runtime.errors import ErrorCode, PluginError
from cni_runtime.net.dbus import Bus, DbusError, Service
from cni_runtime.plugins.firewall import firewalld
from tests.lab.conflists import CURRENT
from tests.netns.plugins.firewall.conftest import FIREWALL, Fenced

PYTHON = "/usr/bin/python3"
CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow own="*"/><allow receive_sender="*"/></policy></busconfig>
"""


def _is_missing() -> bool:
    try:
        parts = (["dbus-daemon", "--version"], [PYTHON, "-c", "import dbus.service, gi"])
        return any(subprocess.run(part, capture_output=True, check=False).returncode for part in parts)
    except FileNotFoundError:
        return True


pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(_is_missing(), reason="needs dbus-daemon, python3-dbus, python3-gi"),
]


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A system bus without services; the path of its socket."""
    path = tmp_path / "bus"
    config = tmp_path / "bus.conf"
    config.write_text(CONFIG.format(path=path))
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={path}")
    argv = ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        daemon.stdout.readline()
        yield path
        daemon.terminate()


@pytest.fixture
def zones(bus: Path) -> Iterator[None]:
    """Something on the bus that behaves like firewalld."""
    script = Path(__file__).with_name("fake-firewalld")
    with subprocess.Popen([str(script)], stdout=subprocess.PIPE) as service:
        assert service.stdout is not None
        assert service.stdout.readline() == b"ready\n"
        yield
        service.terminate()


def in_zone(zone: str) -> set[str]:
    return {address for address in ("10.1.0.2", "fd00:1::2") if firewalld.is_in_zone(zone, address)}


async def test_a_pods_addresses_are_sources_of_the_zone(fenced: Fenced, zones: None) -> None:
    fenced.use_iptables()
    await fenced.add("a")
    assert in_zone("trusted") == {"10.1.0.2", "fd00:1::2"}
    assert fenced.iptables() == []
    await fenced.run(Verb.CHECK, "a")
    for _ in range(2):
        await fenced.run(Verb.DEL, "a")
    assert in_zone("trusted") == set()


async def test_the_zone_can_be_named(fenced: Fenced, zones: None) -> None:
    await fenced.add("a", firewalldZone="pods", backend="firewalld")
    assert in_zone("pods") == {"10.1.0.2", "fd00:1::2"}


async def test_what_is_in_another_zone_is_an_error_in_firewallds_words(fenced: Fenced, zones: None) -> None:
    firewalld.add_to_zone("drop", ["fd00:1::2"])
    with pytest.raises(PluginError, match=r"ZONE_CONFLICT: 'fd00:1::2/128'"):
        await fenced.add("a")
    assert in_zone("trusted") == set()


async def test_an_open_policy_can_be_had_from_iptables_beside_firewalld(fenced: Fenced, zones: None) -> None:
    fenced.use_iptables()
    await fenced.add("a", backend="iptables")
    assert in_zone("trusted") == set()
    assert fenced.iptables()


@pytest.mark.skipif(not (CURRENT.directory / "firewall").exists(), reason="needs hack/build-tools")
async def test_the_executable_and_this_one_delete_each_others(
    fenced: Fenced, zones: None, bus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fenced.add("a")
    await fenced.run(Verb.DEL, "a", by=fenced.reference)
    assert in_zone("trusted") == set()
    await fenced.run(Verb.ADD, "a", by=fenced.reference)
    assert in_zone("trusted") == {"10.1.0.2", "fd00:1::2"}
    await fenced.run(Verb.CHECK, "a")
    await fenced.run(Verb.DEL, "a")
    assert in_zone("trusted") == set()


async def test_status_tells_that_firewalld_is_asked_for_and_not_there(fenced: Fenced, bus: Path) -> None:
    for backend in ("", "iptables"):
        await fenced.pods.call(Verb.STATUS, "none", {**FIREWALL, "backend": backend})
    with pytest.raises(PluginError, match=r"firewalld.* does not run") as caught:
        await fenced.pods.call(Verb.STATUS, "none", {**FIREWALL, "backend": "firewalld"})
    assert caught.value.code == ErrorCode.PLUGIN_NOT_AVAILABLE


async def test_the_bus_tells_in_its_words_what_is_wrong(bus: Path) -> None:
    nobody = Service("org.example.Nobody", "/", "org.example.Nobody")
    with Bus() as connection, pytest.raises(DbusError, match=r"org\.example\.Nobody\.Sleep: .*not provided"):
        connection.call(nobody, "Sleep")


async def test_a_bus_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'nothing'}")
    with pytest.raises(DbusError, match="connect to D-Bus"):
        Bus()
    assert not firewalld.is_running()
