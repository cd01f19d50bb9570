"""Draw an explanation for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from crishim.explain.facts import Explanation, Interface


def picture(explanation: Explanation) -> RenderableType:
    """The pod's network from its namespace out to the bridge, one branch per interface."""
    title = f"{explanation.namespace}/{explanation.pod}"
    tree = Tree(_headline(explanation))
    if explanation.netns:
        inode = f" [dim](inode {explanation.netns_inode})[/]" if explanation.netns_inode else ""
        tree.add(f"[bold]netns[/] {explanation.netns}{inode}")
    if userns := explanation.userns:
        branch = tree.add(f"[bold]userns[/] {userns.path}")
        branch.add(f"[bold]users[/] {', '.join(userns.uids)}")
        branch.add(f"[bold]groups[/] {', '.join(userns.gids)}")
    for interface in explanation.interfaces:
        _add(tree, interface)
    note = [Text(explanation.problem, style="yellow")] if explanation.problem else []
    return Panel(Group(tree, *note), title=title, title_align="left", expand=False)


def _headline(explanation: Explanation) -> str:
    colour = "green" if explanation.state == "ready" else "red"
    ips = ", ".join(explanation.ips) or "no IP"
    return f"[bold cyan]{ips}[/]  sandbox {explanation.sandbox[:13]}  [{colour}]{explanation.state}[/]"


def _add(tree: Tree, interface: Interface) -> None:
    branch = tree.add(f"[bold]{interface.name}[/] on network [bold]{interface.network}[/] [dim]{interface.source}[/]")
    branch.add(_chain(interface))
    for label, text in _lines(interface):
        branch.add(f"[bold]{label}[/] {text}")
    if interface.error:
        branch.add(Text(interface.error, style="red"))


def _chain(interface: Interface) -> RenderableType:
    """The plugins of the chain from left to right, with the milliseconds of each below its name."""
    table = Table(box=None, padding=(0, 1), show_header=False)
    names: list[str] = ["[bold]chain[/]"]
    times: list[str] = [f"[dim]{interface.phase}[/]"]
    for step in interface.steps:
        names += ["→", step.plugin]
        times += ["", f"[dim]{step.milliseconds:.1f} ms[/]"]
    table.add_row(*names)
    table.add_row(*times)
    return table


def _lines(interface: Interface) -> Iterator[tuple[str, str]]:
    if interface.kernel:
        yield "addresses", ", ".join(interface.addresses) or "none"
        yield "link", f"{interface.state}, mtu {interface.mtu}, mac {interface.mac}"
    if interface.host_veth:
        bridge = f" ── bridge {interface.bridge} ({', '.join(interface.bridge_addresses)})" if interface.bridge else ""
        yield "veth", f"{interface.name} ══ {interface.host_veth} on the node{bridge}"
    for route in interface.routes:
        yield "route", route
    for file in interface.ipam_files:
        yield "IPAM", file
