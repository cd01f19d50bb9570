"""Runs a chain of plugins twice, as reference executables and built in, each on a host of its own, and compares.

The state is taken with two pods attached and again when they are detached. On each host there is an ``outside`` with
addresses in 192.0.2.0/24 and 2001:db8::/64 that has no route back to the pods, so that only masqueraded traffic
gets an answer from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio

from cni_runtime.call import PluginCall, Verb
from cni_runtime.invoke.builtin import BuiltinInvoker
from cni_runtime.invoke.executable import ExecutableInvoker
from cni_runtime.testing.host import Host
from cni_runtime.testing.throwaway import run_on_throwaway_host
from tests.netns.plugins.compared_traffic import addresses, traffic_fields
from tests.netns.plugins.snapshot import Fields, differences, settled

Config = Mapping[str, Any]
Chain = Sequence[Config]
Invoker = BuiltinInvoker | ExecutableInvoker

REFERENCE = Path(__file__).parents[3] / ".build/bin/cni"

MEANT = (
    r"file /var/lib/cni/networks/[^/]+/(\.boot_id|lock)",  # ours; theirs makes a lock file for a DEL of nothing too
    r".*address.*\.(nodad|tentative|dadfailed)",  # our own links need no duplicate address detection
    r"[ab] sysctl net/ipv6/conf/\w+/ndisc_notify",  # our bridge's pods tell neighbours of IPv6 addresses, too
    r"host (address|link) br0\.address",  # the bridge's MAC is pinned from the beginning
    r"result\..*\.ips\..*\.version",  # which the reference loopback leaves out where the specification wants it
)


def unmeant(chain: Chain, *, pods: int = 2, meant: Iterable[str] = ()) -> list[str]:
    """What differs and is not in MEANT or ``meant`` (regular expressions on fields), one line for each field.

    The second pod has no host ports.
    """
    allowed = (*MEANT, *meant)
    lines: list[str] = []
    with ThreadPoolExecutor(2) as both:  # each mostly waits for duplicate address detection and the like
        states = both.map(lambda kind: _states(kind, chain, pods), ("reference", "builtin"))
    for reference, builtin in zip(*states, strict=True):
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
    if any(config["type"] == "firewall" for config in chain):
        for tool in ("iptables", "ip6tables"):
            host.run(tool, "-P", "FORWARD", "DROP")
    netns = {name: host.add_netns(name) for name in ("a", "b")}
    answers = {name: await _add(invoker, chain, name, netns[name]) for name in tuple(netns)[:pods]}
    attached = settled(host, netns, answers) | traffic_fields(host, netns, answers, chain)
    for name, answer in answers.items():
        for config in reversed(_of_pod(chain, name)):
            await invoker.invoke(_call(Verb.DEL, name, netns[name], {**config, "prevResult": answer}))
    if isinstance(invoker, BuiltinInvoker):
        await invoker.aclose()
    return attached, settled(host, netns, {}) | _rules_left(host, answers)


async def _add(invoker: Invoker, chain: Chain, name: str, netns: Path) -> Any:
    previous: dict[str, Any] = {}
    for config in _of_pod(chain, name):
        previous = {"prevResult": await invoker.invoke(_call(Verb.ADD, name, netns, {**config, **previous}))}
    return previous["prevResult"]


def _of_pod(chain: Chain, name: str) -> Chain:
    """The first pod has the host ports."""
    if name == "a":
        return chain
    return [
        {**config, "runtimeConfig": {**config["runtimeConfig"], "portMappings": []}}
        if "portMappings" in config.get("runtimeConfig", ())
        else config
        for config in chain
    ]


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


def _rules_left(host: Host, answers: Mapping[str, Any]) -> Fields:
    """Rules that still name an address of a pod."""
    pods = [address for answer in answers.values() for address in addresses(answer)]
    return {f"rule {rule}": "left" for rule in host.rules() if any(f'"{address}"' in rule for address in pods)}
