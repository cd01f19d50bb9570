"""Gather how one pod got its IP: what the records say was done, and what the kernel and the disk have now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
from msgspec import Struct
from msgspec.structs import replace

from cni_runtime.net.inspect import HostLinks, Link, NetnsView, Route, inspect_host_links, inspect_netns

_UNICAST = 1  # RTN_UNICAST, rtnetlink(7)
DEFAULT_IPAM_DIR = Path("/var/lib/cni/networks")


class Step(Struct, frozen=True):
    """One plugin of a chain and how long its ADD took, in milliseconds."""

    plugin: str
    milliseconds: float


class Interface(Struct, frozen=True):
    """One interface of the pod. ``kernel`` tells whether it was found in the namespace just now."""

    name: str
    network: str
    source: str
    phase: str
    steps: tuple[Step, ...]
    addresses: tuple[str, ...] = ()
    mac: str = ""
    mtu: int = 0
    state: str = ""
    kernel: bool = False
    routes: tuple[str, ...] = ()
    host_veth: str = ""
    bridge: str = ""
    bridge_addresses: tuple[str, ...] = ()
    ipam_files: tuple[str, ...] = ()
    error: str = ""


class UserNamespace(Struct, frozen=True):
    """The user namespace that owns the pod's network: where it is pinned, and its ids in words."""

    path: str
    uids: tuple[str, ...]
    gids: tuple[str, ...]


class Explanation(Struct, frozen=True):
    """All that is to be said of one pod's network. ``problem`` says why there is nothing in the kernel to show."""

    sandbox: str
    pod: str
    namespace: str
    state: str
    ips: tuple[str, ...]
    netns: str = ""
    netns_inode: int = 0
    userns: UserNamespace | None = None
    interfaces: tuple[Interface, ...] = ()
    problem: str = ""


async def gather(sandbox: str, pod: str, namespace: str, ips: Sequence[str], info: Mapping[str, Any]) -> Explanation:
    """Explain the sandbox whose verbose status is ``info``. Needs root, to look into the namespace."""
    netns = info.get("netNamespace") or ""
    view, problem = await _look(netns)
    records = sorted(info.get("attachments", ()), key=lambda record: str(record["interface"]))
    return Explanation(
        sandbox=sandbox,
        pod=pod,
        namespace=namespace,
        state=info.get("state", ""),
        ips=tuple(ips),
        netns=netns,
        netns_inode=view.inode if view else 0,
        userns=_user_namespace(info.get("userNamespace")),
        interfaces=tuple([await _interface(record, netns, view) for record in records]),
        problem=problem,
    )


def _user_namespace(told: Mapping[str, Any] | None) -> UserNamespace | None:
    if told is None:
        return None
    uids, gids = (tuple(map(_extent, told[name])) for name in ("uids", "gids"))
    return UserNamespace(told["path"], uids, gids)


def _extent(extent: Mapping[str, int]) -> str:
    inside, outside, more = extent["container_id"], extent["host_id"], extent["length"] - 1
    return f"{inside}-{inside + more} (on the node {outside}-{outside + more})"


async def _look(netns: str) -> tuple[NetnsView | None, str]:
    if not netns:
        return None, "the pod is on the network of the node"
    try:
        return await inspect_netns(netns), ""
    except OSError as error:
        return None, f"cannot look into {netns}: {error.strerror or error}"


async def _interface(record: Mapping[str, Any], netns: str, view: NetnsView | None) -> Interface:
    name = str(record["interface"])
    found = Interface(
        name=name,
        network=record["network"],
        source=record["source"],
        phase=record["phase"],
        steps=tuple(Step(step["plugin"], step["milliseconds"]) for step in record["steps"]),
        ipam_files=await _ipam_files(record),
        error=record["error"],
    )
    link = view.link(name) if view else None
    if view is None or link is None:
        return found
    return _with_kernel(found, view, link, await inspect_host_links(netns, name))


def _with_kernel(found: Interface, view: NetnsView, link: Link, host: HostLinks | None) -> Interface:
    return replace(
        found,
        kernel=True,
        mac=link.mac,
        mtu=link.mtu,
        state=link.state,
        addresses=tuple(address.address for address in view.addresses_of(link)),
        routes=tuple(_route(route) for route in view.routes if route.link == link.index and _worth_telling(route)),
        host_veth=host.veth.name if host else "",
        bridge=host.bridge.name if host and host.bridge else "",
        bridge_addresses=tuple(address.address for address in host.addresses) if host else (),
    )


def _worth_telling(route: Route) -> bool:
    """Unicast routes, but not those that every IPv6 link has."""
    return route.type == _UNICAST and not route.destination.startswith(("fe80:", "ff00:"))


def _route(route: Route) -> str:
    return f"{route.destination} via {route.gateway}" if route.gateway else f"{route.destination} on the link"


async def _ipam_files(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The reservation files of host-local that belong to this attachment."""
    result = record.get("result") or {}
    directory = _ipam_dir(record["conflist"]) / record["network"]
    files = [directory / str(ip["address"]).partition("/")[0] for ip in result.get("ips", ())]
    return tuple([str(file) for file in files if await anyio.Path(file).exists()])


def _ipam_dir(conflist: Mapping[str, Any]) -> Path:
    plugins = conflist.get("plugins", ())
    return next((Path(p["ipam"]["dataDir"]) for p in plugins if p.get("ipam", {}).get("dataDir")), DEFAULT_IPAM_DIR)
