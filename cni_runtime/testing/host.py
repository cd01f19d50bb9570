"""The host a test runs on, as an object: run commands, make pods' network namespaces, see what is there.

Made for a throw-away host (see ``throwaway``): nothing here cleans up after itself.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from msgspec import Struct


class Leavings(Struct, frozen=True):
    """What CNI plugins may leave on a host; two of these are compared to prove that nothing was left."""

    links: frozenset[str]
    files: frozenset[str]
    rules: frozenset[str]
    processes: frozenset[str]


class Host:
    """Commands on the host this process runs on, and in the network namespaces made here."""

    def run(self, *argv: str | Path, netns: Path | None = None, stdin: str = "", check: bool = True) -> str:
        """Run a command, in ``netns`` if given, and return its standard output.

        Raises AssertionError with both outputs when it fails, unless ``check`` is False.
        """
        enter = ("nsenter", f"--net={netns}") if netns else ()
        done = subprocess.run([*enter, *argv], input=stdin, capture_output=True, text=True, check=False, timeout=60)
        assert not check or done.returncode == 0, f"{argv} ended with {done.returncode}: {done.stderr}{done.stdout}"
        return done.stdout

    def add_netns(self, name: str) -> Path:
        """Make a network namespace, pinned as /run/netns/NAME, with ``lo`` still down, as a pod's is."""
        self.run("ip", "netns", "add", name)
        return Path("/run/netns") / name

    def ip(self, *args: str, netns: Path | None = None) -> list[dict[str, Any]]:
        """What ``ip -json ARGS`` says."""
        answer: list[dict[str, Any]] = json.loads(self.run("ip", "-json", *args, netns=netns) or "[]")
        return [entry for entry in answer if entry]

    def links(self, *, netns: Path | None = None) -> set[str]:
        """Names of all network devices except ``lo``."""
        return {link["ifname"] for link in self.ip("link", "show", netns=netns)} - {"lo"}

    def addresses(self, ifname: str, *, netns: Path | None = None) -> set[str]:
        """Global addresses of a device, as address/length."""
        entries = self.ip("addr", "show", "dev", ifname, "scope", "global", netns=netns)
        found = [info for entry in entries for info in entry["addr_info"]]
        return {f"{info['local']}/{info['prefixlen']}" for info in found if info}  # other scopes' are empty

    def can_reach(self, address: str, *, netns: Path | None = None) -> bool:
        """Whether ``address`` answers one of the pings of three seconds; a new IPv6 address may need two."""
        argv = ("nsenter", f"--net={netns}") if netns else ()
        ping = [*argv, "ping", "-n", "-c", "1", "-i", "0.2", "-w", "3", address]
        return subprocess.run(ping, capture_output=True, check=False, timeout=60).returncode == 0

    def processes(self) -> set[str]:
        """Every live process except pid 1, this one and the reader itself, as "pid name"."""
        own = {1, os.getpid()}
        pids = {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()} - own
        return {text for pid in pids if (text := _describe(pid))}

    def leavings(self) -> Leavings:
        """What is on the host now: devices, files of CNI, packet filter rules, other processes."""
        places = (Path("/var/lib/cni"), Path("/run/netns"), Path("/run/cni"))
        files = {str(path) for place in places if place.exists() for path in place.rglob("*") if not path.is_dir()}
        return Leavings(frozenset(self.links()), frozenset(files), frozenset(self.rules()), frozenset(self.processes()))

    def rules(self) -> set[str]:
        """Tables, chains and rules of nftables (iptables-nft keeps its rules there too), less counters and handles."""
        listed = json.loads(self.run("nft", "--json", "--stateless", "--terse", "list", "ruleset") or "{}")
        objects = [entry for entry in listed.get("nftables", []) if "metainfo" not in entry]
        return {json.dumps(_without_handle(entry), sort_keys=True) for entry in objects}


def _without_handle(entry: dict[str, Any]) -> dict[str, Any]:
    return {kind: {k: v for k, v in body.items() if k != "handle"} for kind, body in entry.items()}


def _describe(pid: int) -> str | None:
    """Pid and name, or None for a process that has ended, be it reaped or not."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if rest.split()[0] in "ZX" else f"{pid} {name.partition('(')[2]}"
