"""All that plugins change on a host, flattened to field → value, so that two hosts can be compared field by field.

What cannot be the same twice is replaced: veth names by numbers, MACs by a word; indexes and timers are left out.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from cni_runtime.net.sockets import in_namespace, opened
from cni_runtime.testing.host import Host

_VOLATILE = frozenset(
    {
        "ifindex",
        "link_index",
        "iflink",
        "handle",
        "valid_life_time",
        "preferred_life_time",
        "stats",
        "stats64",
        "packets",
    }
    | {"hello_timer", "tcn_timer", "topology_change_timer", "gc_timer", "hold_timer", "message_age_timer", "bytes"}
    | {"forward_delay_timer", "used", "confirmed", "updated", "probes", "refcnt", "addrgenmode", "lastuse"}
    | {"bridge_id", "root_id", "designated_bridge", "designated_root", "root_port", "topology_change_detected"}
    | {"link_netnsid", "port_id", "id", "designated_port", "no", "gso_max_size", "state"}
)
_VETH = re.compile(r"veth[0-9a-f]{8}")
_MAC = re.compile(r"(?!00:00:|01:80:|02:00:00:00:|ff:ff:)(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
_SYSCTLS = ("net/ipv4/conf", "net/ipv6/conf", "net/ipv4/ip_forward", "net/ipv4/neigh", "net/ipv6/neigh")

Fields = dict[str, str]
Links = list[dict[str, Any]]


def settled(host: Host, pods: Mapping[str, Path], answers: Mapping[str, Any]) -> Fields:
    """``take``, when duplicate address detection and link events have come to rest, or after 6 s at the latest."""
    before: list[Links] = []
    for _ in range(60):
        now = [_links(host, netns) for netns in (None, *pods.values())]
        if now == before and not any(map(_is_coming, chain.from_iterable(now))):
            break
        before = now
        time.sleep(0.1)
    return take(host, pods, answers)


def take(host: Host, pods: Mapping[str, Path], answers: Mapping[str, Any]) -> Fields:
    """The state of the host and of each pod, and the results."""
    fields = dict(_namespace(host, "host", None))
    for name, netns in pods.items():
        fields |= _namespace(host, name, netns)
    fields |= _flatten("result", answers)
    for path in sorted(Path("/var/lib/cni").rglob("*")):
        if path.is_file():
            fields[f"file {path}"] = f"{path.stat().st_mode:o} {path.read_bytes()!r}"
    return _anonymous(fields)


def differences(reference: Fields, builtin: Fields) -> dict[str, tuple[str, str]]:
    """The fields that differ: what the reference has, what the built-in one has."""
    every = sorted(reference.keys() | builtin.keys())
    pairs = {key: (reference.get(key, "absent"), builtin.get(key, "absent")) for key in every}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _namespace(host: Host, name: str, netns: Path | None) -> Iterator[tuple[str, str]]:
    for what, entries in zip(("link", "address"), _ip(host, netns, "-details", "link", "address"), strict=True):
        for entry in entries:
            # A bridge may or may not have got one in the moment before its first port came.
            entry["addr_info"] = [one for one in entry.get("addr_info", ()) if one["scope"] != "link"]
            _forget_carrier(entry)
            yield from _flatten(f"{name} {what} {entry['ifname']}", entry).items()
    yield from _routing(host, name, netns)
    for tool in (("bridge", "-json", "-details", "link"), ("tc", "-json", "qdisc")):
        for entry in json.loads(host.run(*tool, netns=netns) or "[]"):
            yield from _flatten(f"{name} {tool[0]} {entry.get('ifname', entry.get('dev'))}", entry).items()
    yield from _sysctls(name, netns)


def _routing(host: Host, name: str, netns: Path | None) -> Iterator[tuple[str, str]]:
    for family in ("-4", "-6"):
        listed = _ip(host, netns, family, "route show table all", "rule show", "neighbour show nud permanent")
        for what, entries in zip(("route", "rule", "neighbour"), listed, strict=True):
            for entry in entries:
                key = " ".join(str(entry.get(part, "")) for part in ("table", "type", "dst", "dev", "metric"))
                if not str(entry.get("dst", "")).startswith(("fe80", "ff00", "multicast")):
                    entry["flags"] = [flag for flag in entry.get("flags", ()) if flag != "linkdown"]
                    yield from _flatten(f"{name} {family} {what} {key}", entry).items()


def _forget_carrier(entry: dict[str, Any]) -> None:
    """A bridge notices up to a second later that its last port has gone; what has no carrier, traffic shows as well."""
    if entry["operstate"] == "LOWERLAYERDOWN":  # or DOWN, by an accident of interface indexes
        entry["operstate"] = "DOWN"
    if entry.get("linkinfo", {}).get("info_kind") == "bridge" or entry["ifname"] == "br0":
        entry["operstate"] = "not looked at"
        entry["flags"] = [flag for flag in entry["flags"] if flag not in ("NO-CARRIER", "LOWER_UP")]


def _ip(host: Host, netns: Path | None, option: str, *commands: str) -> list[list[dict[str, Any]]]:
    """What ``ip`` says to each of ``commands``, asked by one process."""
    batch = "".join(f"{command}\n" for command in commands)
    lines = host.run("ip", "-json", option, "-batch", "-", netns=netns, stdin=batch).splitlines()
    return [[entry for entry in json.loads(line) if entry] for line in lines]


def _links(host: Host, netns: Path | None) -> Links:
    """The links with their addresses, without the life times, which never come to rest."""
    links: Links = [link for link in json.loads(host.run("ip", "-json", "address", netns=netns)) if link]
    for address in chain.from_iterable(link["addr_info"] for link in links):
        address.pop("valid_life_time", None)
        address.pop("preferred_life_time", None)
    return links


def _is_coming(link: dict[str, Any]) -> bool:
    """Whether an address is still probed, or a carrier is not told yet: the kernel queues that for up to a second."""
    probed = any(address.get("tentative") for address in link["addr_info"])
    return probed or {"NO-CARRIER", "LOWER_UP"} <= set(link["flags"])


def _sysctls(name: str, netns: Path | None) -> Iterator[tuple[str, str]]:
    """Read in a thread of the namespace: the files are those of the reader's."""
    if netns is None:
        yield from _read_sysctls(name)
        return
    with opened(netns) as fd:
        yield from in_namespace(fd, lambda: tuple(_read_sysctls(name)))


def _read_sysctls(name: str) -> Iterator[tuple[str, str]]:
    root = Path("/proc/sys")
    for top in _SYSCTLS:
        every = (root / top,) if (root / top).is_file() else (root / top).rglob("*")
        for path in every:
            if path.name != "stable_secret" and path.is_file():
                with suppress(OSError):  # some can only be written
                    yield f"{name} sysctl {path.relative_to(root)}", path.read_text().strip()


def _flatten(prefix: str, value: Any) -> Fields:
    if isinstance(value, Mapping):
        fields: Fields = {}
        for key, item in value.items():
            if key not in _VOLATILE:
                fields |= _flatten(f"{prefix}.{key}", item)
        return fields
    if isinstance(value, list):
        fields = {}
        for position, item in enumerate(value):
            fields |= _flatten(f"{prefix}.{position}", item)
        return fields
    return {prefix: str(value)}


def _anonymous(fields: Fields) -> Fields:
    """Random names by number, in the order of the results, which are sorted by pod; random MACs by a word."""
    ordered = sorted(fields, key=lambda key: (not key.startswith("result"), key))
    names = dict.fromkeys(name for key in ordered for name in _VETH.findall(key + fields[key]))
    numbers = {name: f"veth#{number}" for number, name in enumerate(names, 1)}

    def replace(value: str) -> str:
        value = _VETH.sub(lambda found: numbers[found.group()], value)
        return _MAC.sub("random MAC", value)

    return {replace(key): replace(value) for key, value in fields.items()}
