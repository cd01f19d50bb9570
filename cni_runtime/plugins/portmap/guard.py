"""What keeps others from 127.0.0.1 when a link has ``route_localnet`` set, for as long as that can last.

A connection from 127.0.0.1 to a pod leaves the host by such a link. The setting would also let neighbours on the link
in to what listens on 127.0.0.1, so a rule does what the kernel does for other links. Nobody takes the setting back, as
others may have set it too; so the rule belongs to the link and not to a pod. It goes when the link has gone and another
link gets its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from msgspec import Struct

from cni_runtime.net.nft import Element, Holding, OwnedTable, Owner, Table
from cni_runtime.net.plan import Place, Where

_LINKS = Path("/proc/sys/net/ipv4/conf")
GUARD = Table(
    "cni_runtime_loopback",
    """
    set links { type ifname; }
    chain guard {
        type filter hook prerouting priority raw; policy accept;
        iifname @links ip daddr 127.0.0.0/8 drop
    }
    """,
)


class GuardLoopback(Struct, frozen=True):
    """The rule for ``link``. To come before the setting."""

    name: ClassVar[str] = "guard_loopback"
    where: ClassVar[Where] = Where.HOST
    table: OwnedTable
    link: str

    def do(self, place: Place) -> None:
        owner = Owner("", "", self.link)
        if not self.table.in_force(owner):
            own, links = Element("links", f'"{self.link}"'), frozenset(path.name for path in _LINKS.iterdir())

            def of_a_link_that_is_gone(holding: Holding) -> Element | None:
                return holding.elements[0] if holding.owner.ifname not in links else None

            self.table.put(owner, (own,), netns=str(_LINKS / self.link), rival=of_a_link_that_is_gone)

    def undo(self, place: Place) -> None:
        """Nothing: the link may have had the setting before."""
