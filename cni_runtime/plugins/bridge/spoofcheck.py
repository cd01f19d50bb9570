"""``macspoofchk``: frames from a pod with another source MAC than the pod's own are dropped.

The chains, names and comments in table ``bridge nat`` are those of the reference plugin.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from msgspec import Struct

from cni_runtime.net.libnftables import Nft, list_chains
from cni_runtime.net.plan import Place, Where

_TABLE, _HOOK = "bridge nat", "PREROUTING"


class AddSpoofCheck(Struct, frozen=True):
    """The rules for the pod ``container_id``, whose host end is ``veth``."""

    name: ClassVar[str] = "add_spoof_check"
    where: ClassVar[Where] = Where.HOST
    nft: Nft
    container_id: str
    ifname: str
    veth: str
    mac: str

    def do(self, place: Place) -> None:
        remove_spoof_check(self.nft, self.container_id, self.ifname)
        self.nft.run(spoof_check_rules(self.container_id, self.ifname, self.veth, self.mac))

    def undo(self, place: Place) -> None:
        remove_spoof_check(self.nft, self.container_id, self.ifname)


def spoof_check_rules(container_id: str, ifname: str, veth: str, mac: str) -> str:
    """The rules in nft's language. Pure."""
    (chain, mac_chain), comment = _chains(container_id, ifname), f'comment "macspoofchk-{container_id}-{ifname}"'
    return f"""
add table {_TABLE}
add chain {_TABLE} {_HOOK} {{ type filter hook prerouting priority -300; policy accept; }}
add chain {_TABLE} {chain}
add chain {_TABLE} {mac_chain}
add rule {_TABLE} {_HOOK} iifname "{veth}" jump {chain} {comment}
add rule {_TABLE} {chain} jump {mac_chain} {comment}
add rule {_TABLE} {mac_chain} ether saddr {mac} return {comment}
add rule {_TABLE} {mac_chain} drop {comment}
"""


def remove_spoof_check(nft: Nft, container_id: str, ifname: str) -> None:
    """Take the rules away if they are there. Raises NftError."""
    present = list_chains(nft, "bridge")
    if not any((_TABLE, chain) in present for chain in _chains(container_id, ifname)):
        return
    listed = json.loads(nft.run(f"list table {_TABLE}\n"))["nftables"]
    commands = spoof_check_removal(listed, container_id, ifname)
    if commands:
        nft.run(commands)


def spoof_check_removal(listed: list[dict[str, Any]], container_id: str, ifname: str) -> str:
    """Commands that remove the rules, given the listing of the table; empty when there are none. Pure."""
    comment = f"macspoofchk-{container_id}-{ifname}"
    jumps = [
        entry["rule"]["handle"]
        for entry in listed
        if "rule" in entry and entry["rule"]["chain"] == _HOOK and entry["rule"].get("comment") == comment
    ]
    present = {entry["chain"]["name"] for entry in listed if "chain" in entry}
    chains = [name for name in _chains(container_id, ifname) if name in present]
    rules = "".join(f"delete rule {_TABLE} {_HOOK} handle {handle}\n" for handle in jumps)
    flush = "".join(f"flush chain {_TABLE} {name}\n" for name in chains)
    return rules + flush + "".join(f"delete chain {_TABLE} {name}\n" for name in chains)


def _chains(container_id: str, ifname: str) -> tuple[str, str]:
    chain = f"cni-br-iface-{container_id}-{ifname}"
    return chain, f"{chain}-mac"
