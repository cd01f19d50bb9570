"""A table of nftables that this library owns: desired state in files, the kernel's state made from them.

Each owner (an interface of a container on a network) has one small file that says which elements of the table's
sets and maps it has. Adding an owner writes the file and then adds the elements in one transaction; if the table is
not as expected, say because another program flushed it, all of it is made again from the files, in one transaction.
When the last owner goes, so does the table, at once or a while later: to make one takes ten times as long as to add to
one, and a node's only pod is often followed by another. The files lie under /run: a reboot takes them together with the
rules. The text of the table lies beside them, so that it can be made again by one who does not know what it was for.
Without its rules it is written before the table is made, with them after that: whoever is stopped in between leaves a
table that is found and taken away, but not added to. It goes after the table.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec.structs import replace

from cni_runtime import faults, files
from cni_runtime.net.holdings import Holding, Holdings, Owner, locked
from cni_runtime.net.libnftables import Nft, NftError
from cni_runtime.net.netfilter import Netfilter
from cni_runtime.net.nfelements import create_address, delete_address
from cni_runtime.net.nftcommands import Change, Element, Table, change, making, removal, rule_count, rules_anew
from cni_runtime.net.sockets import NetlinkError

__all__ = [
    "STATE",
    "Element",
    "Holding",
    "OwnedTable",
    "Owner",
    "Rival",
    "Table",
    "TakenError",
    "locked",
    "stored_tables",
]

STATE = Path("/run/cni-runtime/nftables")
_BODY = "table"  # the file that holds the table itself

_TABLE = msgspec.json.Decoder(Table)
Rival = Callable[[Holding], Element | None]
"""Finds, in what another owner has, an element that excludes one's own, though its key may be another."""


class TakenError(Exception):
    """An element is another owner's."""

    def __init__(self, element: Element, holder: Owner) -> None:
        super().__init__(f"{element.key} is held by {holder}")
        self.element, self.holder = element, holder


class OwnedTable:
    """One table and its owners. All methods block for a moment; any number of threads and processes may call them."""

    def __init__(self, table: Table, nft: Nft, state: Path = STATE, netfilter: Netfilter | None = None) -> None:
        """``netfilter`` is for a table whose elements are all addresses in sets: see ``nfelements``."""
        self.table = table
        self._nft = nft
        self._netfilter = netfilter
        self._directory = state / table.name
        self._files = Holdings(self._directory)

    def put(
        self,
        owner: Owner,
        elements: tuple[Element, ...],
        *,
        take: bool = False,
        netns: str = "",
        rival: Rival | None = None,
    ) -> None:
        """Make ``elements`` what ``owner``, which lives in ``netns``, has. Raises NftError, OSError.

        An element that another owner has, or that ``rival`` finds, raises TakenError and changes nothing; with
        ``take`` it changes hands. A rival whose namespace is gone loses all it has.
        """
        with locked(self._directory):
            if rival is not None:
                self._settle(owner, rival)
            holding = Holding(owner, elements, netns)
            known = self._is_as_made()
            if known and not self._files.path(owner).exists() and self._add(holding):
                return
            self._release(owner, elements, take=take)
            if not (self._directory / _BODY).exists():
                # Before anybody owns something, as ``stored_tables`` would not find that; and not yet to be believed.
                self._write_body(replace(self.table, body=""))
            self._files.write(holding)
            self._rebuild()
            if not known:
                self._write_body(self.table)

    def drop(self, owner: Owner, *, last: bool = True) -> bool:
        """Take away all that ``owner`` has; whether that was anything. Raises NftError, OSError.

        ``last`` takes the table away as well when nobody else has anything in it; see also ``remove_unused``.
        """
        path = self._files.path(owner)
        if not path.exists():
            files.remove(path)  # what a killed put has begun to write
            return False
        with locked(self._directory):
            holding = self._files.of(owner)
            if holding is not None:
                self._delete(holding, last=last)
            self._files.remove(owner)
        return holding is not None

    def is_unused(self) -> bool:
        """Whether nobody has anything in it."""
        return self._files.is_empty()

    def remove_unused(self) -> None:
        """Take the table away if nobody has anything in it by now. Raises NftError, OSError."""
        with locked(self._directory):
            if self.is_unused():
                self._nft.run(removal(self.table))
                # Last: as long as it is there, ``stored_tables`` knows of the table, and this can be tried again.
                files.remove(self._directory / _BODY)

    def holdings(self) -> tuple[Holding, ...]:
        """What each owner has, out of the files."""
        return self._files.all()

    def holding(self, owner: Owner) -> Holding | None:
        """What ``owner`` has, out of its file."""
        return self._files.of(owner)

    def keep_only(self, network: str, valid: frozenset[tuple[str, str]]) -> None:
        """Drop the owners on ``network`` whose (container id, interface) is not ``valid``."""
        for holding in self.holdings():
            owner = holding.owner
            if owner.network == network and (owner.container_id, owner.ifname) not in valid:
                self.drop(owner)

    def rebuild(self) -> None:
        """Make the kernel's table anew from the files. Raises NftError, OSError."""
        with locked(self._directory):
            self._rebuild()

    def restore(self, rules: Callable[[], int]) -> bool:
        """Make the table again if it has owners but too few ``rules`` in the kernel; whether it was. NftError, OSError.

        ``rules`` is asked while nobody else can change the table.
        """
        if self.is_unused():
            return False
        with locked(self._directory):
            if self.is_unused() or rules() >= rule_count(self.table, _elements(self._files.known())):
                return False
            self._rebuild()
            return True

    def in_force(self, owner: Owner) -> bool:
        """Whether the kernel has all that ``owner`` should have, and the table's own rules."""
        holding = self.holding(owner)
        return holding is not None and self._present(holding)

    def _is_as_made(self) -> bool:
        """Whether a table in the kernel is this one; else another program or an older version has made it."""
        try:
            return (self._directory / _BODY).read_bytes() == msgspec.json.encode(self.table)
        except FileNotFoundError:
            return False

    def _settle(self, owner: Owner, rival: Rival) -> None:
        for holding in self._files.known():
            element = rival(holding) if holding.owner != owner else None
            if element is None:
                continue
            if not holding.is_void():
                raise TakenError(element, holding.owner)
            self._delete(holding, last=False)
            self._files.remove(holding.owner)

    def _add(self, holding: Holding) -> bool:
        self._files.write(holding)
        faults.reach("nft.put")
        try:
            self._change("create", holding, holding.elements)
        except NftError:
            self._files.remove(holding.owner)
            return False
        return True

    def _release(self, owner: Owner, elements: tuple[Element, ...], *, take: bool) -> None:
        wanted = {(element.set, element.key) for element in elements if not element.shared}
        for holding in self._files.known():
            common = [element for element in holding.elements if (element.set, element.key) in wanted]
            if holding.owner == owner or not common:
                continue
            if not take:
                raise TakenError(common[0], holding.owner)
            rest = tuple(element for element in holding.elements if element not in common)
            self._files.write(Holding(holding.owner, rest, holding.netns))

    def _delete(self, holding: Holding, *, last: bool) -> None:
        """Take ``holding`` out of the kernel; its file goes after that, so that whoever is stopped here tries again."""
        if last and self._files.is_only(holding.owner):
            self._nft.run(removal(self.table))
        else:
            try:
                self._change("delete", holding, self._only_of(holding))
            except NftError:
                self._rebuild(without=holding.owner)
        faults.reach("nft.drop")

    def _only_of(self, holding: Holding) -> tuple[Element, ...]:
        """The elements of ``holding`` that nobody shares."""
        if not any(element.shared for element in holding.elements):
            return holding.elements
        others = (other for other in self._files.known() if other.owner != holding.owner)
        shared = {(element.set, element.key) for other in others for element in other.elements if element.shared}
        return tuple(element for element in holding.elements if (element.set, element.key) not in shared)

    def _rebuild(self, without: Owner | None = None) -> None:
        self._nft.run(removal(self.table) + making(self.table, _elements(self._files.known(), without)))

    def _present(self, holding: Holding) -> bool:
        in_sets = [element for element in holding.elements if not self.table.has_as_rule(element)]
        try:
            listed = json.loads(self._nft.run(f"list table {self.table}\n"))
            self._nft.run("".join(f"get element {self.table} {e.set} {{ {e.key} }}\n" for e in in_sets))
        except NftError:
            return False
        rules = sum("rule" in entry for entry in listed["nftables"])
        return rules >= rule_count(self.table, _elements(self.holdings()))

    def _change(self, verb: Change, holding: Holding, elements: tuple[Element, ...]) -> None:
        """Create or delete ``elements`` of ``holding`` in one transaction. Raises NftError."""
        if self._netfilter is None:
            commands = change(self.table, verb, elements)
            if any(map(self.table.has_as_rule, elements)):
                without = holding.owner if verb == "delete" else None
                chains = frozenset(chain for chain, _ in self.table.rules)
                commands += rules_anew(self.table, _elements(self._files.known(), without, chains))
            self._nft.run(commands)
            return
        request = create_address if verb == "create" else delete_address
        family, table = self.table.family, self.table.name
        try:
            with self._netfilter.open() as netfilter:
                netfilter.transact([request(family, table, element.set, element.key) for element in elements])
        except NetlinkError as exc:
            raise NftError(str(exc)) from exc

    def _write_body(self, table: Table) -> None:
        self._files.write_other(_BODY, msgspec.json.encode(table))


def _elements(
    holdings: Iterable[Holding], without: Owner | None = None, sets: frozenset[str] | None = None
) -> list[Element]:
    """What all owners but ``without`` have, each once; with ``sets`` only what is in one of these."""
    every = (element for holding in holdings if holding.owner != without for element in holding.elements)
    return list(dict.fromkeys(element for element in every if sets is None or element.set in sets))


def stored_tables(
    prefix: str, nft: Nft, state: Path = STATE, netfilter: Netfilter | None = None
) -> tuple[OwnedTable, ...]:
    """The tables whose name begins with ``prefix`` and that the kernel may have, as they were made."""
    try:
        with os.scandir(state) as entries:
            names = sorted(entry.name for entry in entries if entry.name.startswith(prefix))
    except FileNotFoundError:
        return ()
    found: list[OwnedTable] = []
    for name in names:
        with suppress(FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
            table = _TABLE.decode((state / name / _BODY).read_bytes())
            found.append(OwnedTable(table, nft, state, netfilter))
    return tuple(found)
