"""kill -9 at every step of ADD and DEL: what is left, a DEL takes away, and the next ADD succeeds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cni_runtime.call import PluginCall, Verb
from cni_runtime.testing.host import Host, Leavings

ROOT = Path(__file__).parents[3]
IPAM = {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]}
COMMON = {"cniVersion": "1.1.0", "name": "net", "ipMasq": True, "ipam": IPAM}
BRIDGE = {**COMMON, "type": "bridge", "isDefaultGateway": True, "hairpinMode": True, "macspoofchk": True}
PTP = {**COMMON, "type": "ptp"}

STEPS = [
    (BRIDGE, Verb.ADD, "host-local.ADD.reserve.0"),
    (BRIDGE, Verb.ADD, "host-local.ADD.reserve.1"),
    *((BRIDGE, Verb.ADD, f"bridge.ADD.{step}") for step in ("add_bridge", "add_veth", "set_sysctls", "configure_port")),
    *((BRIDGE, Verb.ADD, f"bridge.ADD.{step}") for step in ("configure", "add_elements", "add_spoof_check")),
    *((BRIDGE, Verb.DEL, f"bridge.DEL.{step}") for step in ("cut_off", "rules", "ipam")),
    (BRIDGE, Verb.DEL, "host-local.DEL.release"),
    *((PTP, Verb.ADD, f"ptp.ADD.{step}") for step in ("add_veth", "set_sysctls", "configure", "add_elements")),
    *((PTP, Verb.DEL, f"ptp.DEL.{step}") for step in ("cut_off", "ipam")),
]


def run(verb: Verb, config: Mapping[str, Any], netns: Path, fault: str = "") -> int:
    """Make a call in another process; how that ended."""
    call = PluginCall(verb=verb, type=config["type"], config=config, container_id="c", netns=str(netns), ifname="eth0")
    done = subprocess.run(
        [sys.executable, "-m", "tests.netns.plugins.one_call"],
        input=msgspec.json.encode(call),
        env={**os.environ, "CNI_RUNTIME_FAULT": f"{fault}:kill"} if fault else None,
        cwd=ROOT,
        check=False,
        capture_output=True,
    )
    assert fault or done.returncode == 0, done.stderr.decode()
    return done.returncode


def left(host: Host, before: Leavings) -> set[str]:
    """What was not there before, but for what belongs to the network and not to a container."""
    now = host.leavings()
    files = {Path(path) for path in now.files - before.files if not path.startswith("/run/netns/")}
    ours = {str(path) for path in files if path.name not in {"lock", ".boot_id"} and "last_reserved" not in path.name}
    rules = {rule for rule in now.rules - before.rules if "cni-br-iface" in rule or "cni_runtime" in rule}
    return {*(now.links - before.links - {"cni0"}), *ours, *rules}


@pytest.mark.parametrize(("config", "verb", "fault"), STEPS, ids=[fault for _, _, fault in STEPS])
def test_killed_at(host_netns: Host, config: Mapping[str, Any], verb: Verb, fault: str) -> None:
    before = host_netns.leavings()
    netns = host_netns.add_netns("pod")
    if verb is Verb.DEL:
        run(Verb.ADD, config, netns)
    assert run(verb, config, netns, fault) == -signal.SIGKILL
    run(Verb.DEL, config, netns)
    host_netns.run("ip", "netns", "del", "pod")
    again = host_netns.add_netns("again")
    veths = {link for link in host_netns.links() if link.startswith("veth")}  # asked first: the kernel is ending them
    assert left(host_netns, before) <= veths
    run(Verb.ADD, config, again)
    assert host_netns.can_reach("10.1.0.1", netns=again)
    run(Verb.DEL, config, again)
    host_netns.run("ip", "netns", "del", "again")
    host_netns.run("sleep", "0.3")  # in which the kernel ends the namespaces
    assert left(host_netns, before) == set()
