"""Runs a chain of plugins twice, as reference executables and built in, each on a host of its own, and compares.

The state is taken with two pods attached and again when they are detached. On each host there is an ``outside`` with
addresses in 192.0.2.0/24 and 2001:db8::/64 that has no route back to the pods, so that only masqueraded traffic
gets an answer from it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import anyio

from cni_runtime.call import PluginCall, Verb
from cni_runtime.invoke.builtin import BuiltinInvoker
from cni_runtime.invoke.executable import ExecutableInvoker
from cni_runtime.testing.host import Host
from cni_runtime.testing.throwaway import run_on_throwaway_host
from tests.netns.plugins.snapshot import Fields, differences, settled

Config = Mapping[str, Any]
Chain = Sequence[Config]
Invoker = BuiltinInvoker | ExecutableInvoker

REFERENCE = Path(__file__).parents[3] / ".build/bin/cni"

MEANT = (
    r"file /var/lib/cni/networks/[^/]+/(\.boot_id|lock)",  # ours; theirs makes a lock file for a DEL of nothing too
    r".*address.*\.(nodad|tentative|dadfailed)",  # our own links need no duplicate address detection
    r"host (address|link) br0\.address",  # the bridge's MAC is pinned from the beginning
    r"result\..*\.ips\..*\.version",  # which the reference loopback leaves out where the specification wants it
)

_SERVER = """
import socket
with socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True) as server:
    print("ready", flush=True)
    peer = server.accept()[0]
    peer.sendall(peer.recv(9))
"""
_CLIENT = """
import socket, sys
with socket.create_connection((sys.argv[1], 8080), timeout=2) as peer:
    peer.sendall(b"over here")
    assert peer.recv(9) == b"over here"
"""


def unmeant(chain: Chain, *, pods: int = 2, meant: Iterable[str] = ()) -> list[str]:
    """What differs and is not in MEANT or ``meant`` (regular expressions on fields), one line for each field."""
    allowed = (*MEANT, *meant)
    lines: list[str] = []
    for reference, builtin in zip(_states("reference", chain, pods), _states("builtin", chain, pods), strict=True):
        for field, (theirs, ours) in differences(reference, builtin).items():
            if not any(re.fullmatch(one, field) for one in allowed):
                lines.append(f"{field}: {ours} instead of {theirs}")
    return lines


def _states(kind: str, chain: Chain, pods: int) -> list[Fields]:
    def attach() -> bytes:
        invoker: Invoker = BuiltinInvoker() if kind == "builtin" else ExecutableInvoker()
        return json.dumps(anyio.run(_attach_and_detach, invoker, chain, pods)).encode()

    states: list[Fields] = json.loads(run_on_throwaway_host(attach, timeout=90))
    return states


async def _attach_and_detach(invoker: Invoker, chain: Chain, pods: int) -> tuple[Fields, Fields]:
    host = Host()
    _make_outside(host)
    netns = {name: host.add_netns(name) for name in ("a", "b")}
    answers = {name: await _add(invoker, chain, name, netns[name]) for name in tuple(netns)[:pods]}
    masquerade = any(config.get("ipMasq") for config in chain)
    attached = settled(host, netns, answers) | _traffic(host, netns, answers, outside=masquerade)
    for name, answer in answers.items():
        for config in reversed(chain):
            await invoker.invoke(_call(Verb.DEL, name, netns[name], {**config, "prevResult": answer}))
    if isinstance(invoker, BuiltinInvoker):
        await invoker.aclose()
    return attached, settled(host, netns, {})


async def _add(invoker: Invoker, chain: Chain, name: str, netns: Path) -> Any:
    previous: dict[str, Any] = {}
    for config in chain:
        previous = {"prevResult": await invoker.invoke(_call(Verb.ADD, name, netns, {**config, **previous}))}
    return previous["prevResult"]


def _call(verb: Verb, name: str, netns: Path, config: Config) -> PluginCall:
    kind = config["type"]
    return PluginCall(
        verb=verb, type=kind, config=config, container_id=name, netns=str(netns), ifname="eth0", path=(REFERENCE,)
    )


def _make_outside(host: Host) -> None:
    outside = host.add_netns("outside")
    host.run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1", "netns", "outside")
    for number, (link, netns) in enumerate((("up0", None), ("up1", outside)), 1):
        for address in (f"192.0.2.{number}/24", f"2001:db8::{number}/64"):
            host.run("ip", "addr", "add", address, "dev", link, *(["nodad"] if ":" in address else []), netns=netns)
        host.run("ip", "link", "set", link, "up", netns=netns)


def _traffic(host: Host, netns: Mapping[str, Path], answers: Mapping[str, Any], *, outside: bool) -> Fields:
    """What reaches what: "True" or "False" by ping, and by TCP between the pods."""
    fields: Fields = {}
    targets: dict[str, list[str]] = {name: _addresses(answer) for name, answer in answers.items()}
    for address in targets["a"]:
        fields[f"traffic host to {address}"] = str(host.can_reach(address))
        if outside:
            other = "2001:db8::2" if ":" in address else "192.0.2.2"
            fields[f"traffic a to {other}"] = str(host.can_reach(other, netns=netns["a"]))
        if "b" in targets:
            fields[f"traffic b to {address}"] = str(host.can_reach(address, netns=netns["b"]))
            fields[f"traffic b to {address} by TCP"] = str(_talk(netns["b"], netns["a"], address))
    return fields


def _addresses(answer: Any) -> list[str]:
    listed = [entry["address"] for entry in answer.get("ips", ())]
    listed += [answer[family]["ip"] for family in ("ip4", "ip6") if family in answer]
    return [str(ip_interface(address).ip) for address in listed if not ip_interface(address).is_loopback]


def _talk(source: Path, target: Path, address: str) -> bool:
    """Whether a client in ``source`` gets back what it sends to a server in ``target``."""
    server = subprocess.Popen(
        ["nsenter", f"--net={target}", sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, text=True
    )
    with server:
        assert server.stdout is not None
        server.stdout.readline()
        client = ["nsenter", f"--net={source}", sys.executable, "-c", _CLIENT, address]
        reached = subprocess.run(client, check=False, capture_output=True, timeout=60).returncode == 0
        server.kill()
    return reached
