"""What nft is told of a table of ours, in its own language. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

Change = Literal["create", "delete"]


class Element(Struct, frozen=True):
    """One element of a set, or with a ``value`` of a map, in nft's language. A ``shared`` one may have many owners."""

    set: str
    key: str
    value: str = ""
    shared: bool = False


class Table(Struct, frozen=True):
    """A table: ``body`` is what stands between its braces, sets and chains, in nft's language.

    ``rules`` are pairs of a chain of ``body`` and a rule: elements of that name are no elements of a set, but each is
    this rule with the element's key for ``{}``. Unlike ranges in a set, rules can overlap.
    """

    name: str
    body: str
    family: str = "inet"
    rules: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.family} {self.name}"

    def has_as_rule(self, element: Element) -> bool:
        """Whether ``element`` is a rule."""
        return any(chain == element.set for chain, _ in self.rules)


def removal(table: Table) -> str:
    """The table goes, if it is there."""
    return f"add table {table}\ndelete table {table}\n"


def making(table: Table, elements: Iterable[Element]) -> str:
    """The table with all ``elements``."""
    return f"table {table} {{\n{table.body}\n}}\n" + "".join(_command(table, "add", element) for element in elements)


def change(table: Table, verb: Change, elements: Iterable[Element]) -> str:
    """Create or delete elements of sets; rules among them are passed over, see ``rules_anew``."""
    return "".join(_command(table, verb, element) for element in elements if not table.has_as_rule(element))


def rules_anew(table: Table, elements: Iterable[Element]) -> str:
    """The chains of rules with those among ``elements``, whatever they had: only its number can delete a single one."""
    flush = "".join(f"flush chain {table} {chain}\n" for chain, _ in table.rules)
    return flush + "".join(_command(table, "add", element) for element in elements if table.has_as_rule(element))


def rule_count(table: Table, elements: Iterable[Element]) -> int:
    """How many rules the table has with ``elements``."""
    return _stated_rules(table.body) + sum(table.has_as_rule(element) for element in elements)


def _command(table: Table, verb: Change | Literal["add"], element: Element) -> str:
    if table.has_as_rule(element):
        return f"{verb} rule {table} {element.set} {dict(table.rules)[element.set].format(element.key)}\n"
    value = f" : {element.value}" if element.value else ""
    verb = "add" if verb == "create" and element.shared else verb
    return f"{verb} element {table} {element.set} {{ {element.key}{value} }}\n"


def _stated_rules(body: str) -> int:
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
