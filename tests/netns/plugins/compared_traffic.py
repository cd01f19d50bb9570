"""What traffic does on a host of ``differential``: one field for each attempt, so that two hosts can be compared."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

from cni_runtime.testing.host import Host
from tests.netns.plugins.snapshot import Fields
from tests.netns.plugins.traffic import ask, rate, serving

Config = Mapping[str, Any]

OUTSIDE = {4: "192.0.2.2", 6: "2001:db8::2"}
HOST = {4: "192.0.2.1", 6: "2001:db8::1"}
_SERVED = 80


def traffic_fields(
    host: Host, netns: Mapping[str, Path], answers: Mapping[str, Any], chain: Sequence[Config]
) -> Fields:
    """What reaches what, and who the other side takes it for."""
    fields: Fields = {}
    outside = any(config.get("ipMasq") or config["type"] == "firewall" for config in chain)
    with serving("a", netns["a"], _SERVED):
        for address in addresses(answers["a"]):
            fields |= _to_pod(host, netns, address, outside=outside, neighbour="b" in answers)
        fields |= {field: answer for config in chain for field, answer in _host_ports(host, netns, config)}
    for config in chain:
        if config["type"] == "bandwidth":
            fields |= _rates(netns["a"], answers["a"])
    return fields


def addresses(answer: Any) -> list[str]:
    """The addresses in a result of any version, without loopback's."""
    listed = [entry["address"] for entry in answer.get("ips", ())]
    listed += [answer[family]["ip"] for family in ("ip4", "ip6") if family in answer]
    return [str(ip_interface(address).ip) for address in listed if not ip_interface(address).is_loopback]


def _to_pod(host: Host, netns: Mapping[str, Path], address: str, *, outside: bool, neighbour: bool) -> Fields:
    fields = {f"traffic host to {address}": str(_reaches(None, address))}
    if outside:
        other = OUTSIDE[6 if ":" in address else 4]
        fields[f"traffic a to {other}"] = str(_reaches(netns["a"], other))
    if neighbour:
        fields[f"traffic b to {address}"] = str(_reaches(netns["b"], address))
        fields[f"traffic b to {address} by TCP"] = ask("tcp", address, _SERVED, netns["b"])
    return fields


def _host_ports(host: Host, netns: Mapping[str, Path], config: Config) -> Iterator[tuple[str, str]]:
    for mapping in config.get("runtimeConfig", {}).get("portMappings", ()):
        port, protocol = mapping["hostPort"], mapping.get("protocol", "tcp")
        for family in (4, 6):
            for who in ("outside", "a", "b"):
                space = Path("/run/netns") / who
                yield f"traffic {who} to {HOST[family]}:{port} {protocol}", ask(protocol, HOST[family], port, space)
            yield f"traffic host to {HOST[family]}:{port} {protocol}", ask(protocol, HOST[family], port)
        yield f"traffic host to 127.0.0.1:{port} {protocol}", ask(protocol, "127.0.0.1", port)


def _rates(pod: Path, answer: Any) -> Iterator[tuple[str, str]]:
    own, gateway = addresses(answer)[0], answer["ips"][0]["gateway"]
    for way, measured in (("in", rate(None, pod, own)), ("out", rate(pod, None, gateway))):
        yield f"traffic rate {way}", "fast" if measured > 100e6 else f"{measured / 20e6:.0f} times 20 Mbit/s"


def _reaches(netns: Path | None, address: str) -> bool:
    """Whether one of the pings of a second is answered."""
    enter = ("nsenter", f"--net={netns}") if netns else ()
    ping = [*enter, "ping", "-n", "-c", "1", "-i", "0.2", "-w", "1", address]
    return subprocess.run(ping, capture_output=True, check=False, timeout=60).returncode == 0
