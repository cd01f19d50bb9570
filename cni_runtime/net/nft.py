"""A table of nftables that this library owns: desired state in files, the kernel's state made from them.

Each owner (an interface of a container on a network) has one small file that says which elements of the table's
sets and maps are his. Adding an owner writes the file and then adds the elements in one transaction; if the table is
not as expected, say because another program flushed it, all of it is made again from the files, in one transaction.
When the last owner goes, so does the table. The files lie under /run: a reboot takes them together with the rules.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from cni_runtime import files
from cni_runtime.net.libnftables import Nft, NftError

STATE = Path("/run/cni-runtime/nftables")


class Owner(Struct, frozen=True):
    """Whose elements they are: an interface of a container on a network."""

    network: str
    container_id: str
    ifname: str

    def __str__(self) -> str:
        return f"container {self.container_id} interface {self.ifname} network {self.network}"


class Element(Struct, frozen=True):
    """One element of a set, or with a ``value`` of a map, in nft's language."""

    set: str
    key: str
    value: str = ""


class Table(Struct, frozen=True):
    """A table: ``body`` is what stands between its braces, sets and chains, in nft's language."""

    name: str
    body: str
    family: str = "inet"


class Holding(Struct, frozen=True):
    """The file of one owner."""

    owner: Owner
    elements: tuple[Element, ...] = ()


class TakenError(Exception):
    """An element is another owner's."""

    def __init__(self, element: Element, holder: Owner) -> None:
        super().__init__(f"{element.key} is held by {holder}")
        self.element, self.holder = element, holder


class OwnedTable:
    """One table and its owners. All methods block for a moment; any number of threads and processes may call them."""

    def __init__(self, table: Table, nft: Nft, state: Path = STATE) -> None:
        self.table = table
        self._nft = nft
        self._directory = state / table.name

    def put(self, owner: Owner, elements: tuple[Element, ...], *, take: bool = False) -> None:
        """Make ``elements`` what ``owner`` has. Raises NftError, OSError.

        An element that another owner has raises TakenError and changes nothing; with ``take`` it changes hands.
        """
        with self._locked():
            before = self._holding(self._path(owner))
            if before is None and self._add(owner, elements):
                return
            self._release(owner, elements, take=take)
            self._write(Holding(owner, elements))
            self._rebuild()

    def drop(self, owner: Owner) -> bool:
        """Take away all that ``owner`` has; whether that was anything. Raises NftError, OSError."""
        if not self._directory.exists():
            return False
        with self._locked():
            path = self._path(owner)
            holding = self._holding(path)
            path.unlink(missing_ok=True)
            if holding is None:
                return False
            self._delete(holding)
            return True

    def holdings(self) -> tuple[Holding, ...]:
        """What each owner has, out of the files."""
        found = (self._holding(path) for path in sorted(self._directory.glob("*.json")))
        return tuple(holding for holding in found if holding)

    def holding(self, owner: Owner) -> Holding | None:
        """What ``owner`` has, out of his file."""
        return self._holding(self._path(owner))

    def keep_only(self, network: str, valid: frozenset[tuple[str, str]]) -> None:
        """Drop the owners on ``network`` whose (container id, interface) is not ``valid``."""
        for holding in self.holdings():
            owner = holding.owner
            if owner.network == network and (owner.container_id, owner.ifname) not in valid:
                self.drop(owner)

    def rebuild(self) -> None:
        """Make the kernel's table anew from the files. Raises NftError, OSError."""
        with self._locked():
            self._rebuild()

    def in_force(self, owner: Owner) -> bool:
        """Whether the kernel has all that ``owner`` should have, and the table's own rules."""
        holding = self.holding(owner)
        return holding is not None and self._present(holding)

    def _add(self, owner: Owner, elements: tuple[Element, ...]) -> bool:
        self._write(Holding(owner, elements))
        try:
            self._nft.run("".join(self._command("create", element) for element in elements))
        except NftError:
            self._path(owner).unlink()
            return False
        return True

    def _release(self, owner: Owner, elements: tuple[Element, ...], *, take: bool) -> None:
        wanted = {(element.set, element.key): element for element in elements}
        for holding in self.holdings():
            common = [element for element in holding.elements if (element.set, element.key) in wanted]
            if holding.owner == owner or not common:
                continue
            if not take:
                raise TakenError(common[0], holding.owner)
            rest = tuple(element for element in holding.elements if element not in common)
            self._write(Holding(holding.owner, rest))

    def _delete(self, holding: Holding) -> None:
        if not any(self._directory.glob("*.json")):
            self._nft.run(self._gone())
            return
        try:
            self._nft.run("".join(self._command("delete", element) for element in holding.elements))
        except NftError:
            self._rebuild()

    def _rebuild(self) -> None:
        elements = [element for holding in self.holdings() for element in holding.elements]
        table = f"table {self.table.family} {self.table.name} {{\n{self.table.body}\n}}\n"
        self._nft.run(self._gone() + table + "".join(self._command("add", element) for element in elements))

    def _gone(self) -> str:
        name = f"table {self.table.family} {self.table.name}"
        return f"add {name}\ndelete {name}\n"

    def _present(self, holding: Holding) -> bool:
        name = f"{self.table.family} {self.table.name}"
        wanted = "".join(f"get element {name} {e.set} {{ {e.key} }}\n" for e in holding.elements)
        try:
            listed = json.loads(self._nft.run(f"list table {name}\n"))
            self._nft.run(wanted)
        except NftError:
            return False
        rules = sum("rule" in entry for entry in listed["nftables"])
        return rules >= _rule_count(self.table.body)

    def _command(self, verb: str, element: Element) -> str:
        value = f" : {element.value}" if element.value else ""
        return f"{verb} element {self.table.family} {self.table.name} {element.set} {{ {element.key}{value} }}\n"

    def _path(self, owner: Owner) -> Path:
        text = "\0".join((owner.network, owner.container_id, owner.ifname))
        return self._directory / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"

    def _write(self, holding: Holding) -> None:
        files.replace(self._path(holding.owner), msgspec.json.encode(holding))

    def _holding(self, path: Path) -> Holding | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Holding)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _rule_count(body: str) -> int:
    """How many rules ``body`` states: lines inside a chain that are neither its type nor a brace."""
    inside, count = False, 0
    for line in map(str.strip, body.splitlines()):
        if line.startswith("chain "):
            inside = True
        elif line == "}":
            inside = False
        elif inside and line and not line.startswith(("type ", "policy ", "#")):
            count += 1
    return count
