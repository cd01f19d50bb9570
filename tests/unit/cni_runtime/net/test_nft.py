from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import structs

from cni_runtime import faults
from cni_runtime.net.libnftables import NftError
from cni_runtime.net.nft import Element, OwnedTable, Owner, Table, TakenError, stored_tables

TABLE = Table("mine", "set s { type ipv4_addr; }\nchain c {\n type nat hook postrouting priority 0;\n drop\n}")
ONE, TWO = Owner("net", "one", "eth0"), Owner("net", "two", "eth0")
FIRST, SECOND = Element("s", "10.0.0.1"), Element("m", "10.0.0.2", "accept")


class FakeNft:
    """Keeps the elements of one table and the last commands, and refuses as the kernel does."""

    def __init__(self) -> None:
        self.elements: dict[str, str] | None = None
        self.transactions = 0
        self.commands = ""

    def flush(self) -> None:
        self.elements = None

    def run(self, commands: str) -> str:
        self.transactions += 1
        self.commands = commands
        elements = None if self.elements is None else dict(self.elements)
        for line in commands.splitlines():
            elements = self._step(line.strip(), elements)
        self.elements = elements
        return json.dumps({"nftables": [{"rule": {}}]})

    def _step(self, line: str, elements: dict[str, str] | None) -> dict[str, str] | None:
        if line == "delete table inet mine":
            return None
        if line.startswith(("add table", "table")):
            return elements or {}
        if elements is None and line.startswith(("create", "add", "delete", "get", "list")):
            raise NftError(f"no table for {line}")
        if " element " not in line:
            return elements
        return self._element(line, elements or {})

    def _element(self, line: str, elements: dict[str, str]) -> dict[str, str]:
        verb, key = line.split(maxsplit=1)[0], line.partition("{ ")[2].split()[0]
        if (verb == "create" and key in elements) or (verb in ("delete", "get") and key not in elements):
            raise NftError(line)
        rest = {name: value for name, value in elements.items() if name != key}
        return {**rest, key: line} if verb != "delete" else rest


@pytest.fixture
def nft() -> FakeNft:
    return FakeNft()


@pytest.fixture
def table(nft: FakeNft, tmp_path: Path) -> OwnedTable:
    return OwnedTable(TABLE, nft, tmp_path)


def test_the_table_is_made_for_the_first_owner_and_goes_with_the_last(table: OwnedTable, nft: FakeNft) -> None:
    table.put(ONE, (FIRST,))
    table.put(TWO, (SECOND,))
    assert set(nft.elements or ()) == {"10.0.0.1", "10.0.0.2"}
    assert table.drop(ONE)
    assert set(nft.elements or ()) == {"10.0.0.2"}
    assert table.drop(TWO)
    assert nft.elements is None


def test_a_table_that_another_program_has_loaded_is_made_anew(table: OwnedTable, nft: FakeNft) -> None:
    nft.elements = {"10.0.0.9": "of a pod before the last start of the machine"}
    table.put(ONE, (FIRST,))
    assert set(nft.elements) == {"10.0.0.1"}


def test_a_table_whose_text_has_changed_is_made_anew_for_all(table: OwnedTable, nft: FakeNft, tmp_path: Path) -> None:
    table.put(ONE, (FIRST,))
    changed = structs.replace(TABLE, body=TABLE.body.replace("drop", "accept"))
    OwnedTable(changed, nft, tmp_path).put(TWO, (SECOND,))
    assert changed.body in nft.commands
    assert set(nft.elements or ()) == {"10.0.0.1", "10.0.0.2"}
    assert [stored.table for stored in stored_tables("", nft, tmp_path)] == [changed]


def test_an_unused_table_can_wait_for_the_next_owner(table: OwnedTable, nft: FakeNft) -> None:
    table.put(ONE, (FIRST,))
    table.drop(ONE, last=False)
    before = nft.transactions
    table.put(TWO, (FIRST,))
    table.remove_unused()
    assert (set(nft.elements or ()), nft.transactions) == ({"10.0.0.1"}, before + 1)


def test_an_unused_table_can_be_taken_away_later(table: OwnedTable, nft: FakeNft) -> None:
    table.put(ONE, (FIRST,))
    table.drop(ONE, last=False)
    assert (nft.elements, table.is_unused()) == ({}, True)
    table.remove_unused()
    assert nft.elements is None


def test_a_table_that_was_taken_away_is_forgotten_until_it_is_used_again(
    table: OwnedTable, nft: FakeNft, tmp_path: Path
) -> None:
    table.put(ONE, (FIRST,))
    table.drop(ONE, last=False)
    table.remove_unused()
    assert stored_tables("", nft, tmp_path) == ()
    table.put(TWO, (SECOND,))
    assert [stored.table for stored in stored_tables("", nft, tmp_path)] == [TABLE]


def test_a_table_is_known_until_the_kernel_has_it_no_more(table: OwnedTable, nft: FakeNft, tmp_path: Path) -> None:
    table.put(ONE, (FIRST,))
    table.drop(ONE, last=False)
    faults.arm("files.remove:raise")
    try:
        with pytest.raises(faults.FaultInjectedError):
            table.remove_unused()
    finally:
        faults.arm()
    (known,) = stored_tables("", nft, tmp_path)
    known.remove_unused()
    assert (nft.elements, stored_tables("", nft, tmp_path)) == (None, ())


def test_one_more_owner_is_one_transaction(table: OwnedTable, nft: FakeNft) -> None:
    table.put(ONE, (FIRST,))
    before = nft.transactions
    table.put(TWO, (SECOND,))
    assert nft.transactions == before + 1


@pytest.mark.parametrize("how", ["put", "drop", "rebuild"])
def test_a_flushed_table_comes_back(table: OwnedTable, nft: FakeNft, how: str) -> None:
    table.put(ONE, (FIRST,))
    table.put(TWO, (SECOND,))
    nft.flush()
    assert not table.in_force(ONE)
    {"put": lambda: table.put(TWO, (SECOND,)), "drop": lambda: table.drop(TWO), "rebuild": table.rebuild}[how]()
    assert table.in_force(ONE)


def test_an_element_of_another_owner_is_refused_with_his_name(table: OwnedTable, nft: FakeNft) -> None:
    table.put(ONE, (FIRST,))
    with pytest.raises(TakenError, match="container one"):
        table.put(TWO, (FIRST, SECOND))
    assert set(nft.elements or ()) == {"10.0.0.1"}
    assert [holding.owner for holding in table.holdings()] == [ONE]


def test_an_element_can_change_hands(table: OwnedTable, nft: FakeNft) -> None:
    table.put(ONE, (FIRST, SECOND))
    table.put(TWO, (FIRST,), take=True)
    table.drop(ONE)
    assert set(nft.elements or ()) == {"10.0.0.1"}


def test_putting_again_replaces(table: OwnedTable, nft: FakeNft) -> None:
    table.put(ONE, (FIRST,))
    table.put(ONE, (SECOND,))
    assert set(nft.elements or ()) == {"10.0.0.2"}


def test_only_owners_of_the_network_that_are_not_valid_go(table: OwnedTable) -> None:
    other = Owner("other", "three", "eth0")
    for owner, element in ((ONE, FIRST), (TWO, SECOND), (other, Element("s", "10.0.0.3"))):
        table.put(owner, (element,))
    table.keep_only("net", frozenset({("two", "eth0")}))
    assert {holding.owner for holding in table.holdings()} == {TWO, other}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"owner": 1}'])
def test_a_broken_file_counts_as_none(table: OwnedTable, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "broken.json").write_bytes(content)
    table.put(ONE, (FIRST,))
    assert [holding.owner for holding in table.holdings()] == [ONE]


def test_nothing_to_drop(table: OwnedTable, nft: FakeNft) -> None:
    assert not table.drop(ONE)
    assert nft.transactions == 0


@pytest.mark.parametrize(("owned", "rules", "made_again"), [(True, 0, True), (True, 1, False), (False, 0, False)])
def test_a_table_is_restored_if_it_has_owners_but_no_rules(
    table: OwnedTable, nft: FakeNft, *, owned: bool, rules: int, made_again: bool
) -> None:
    table.put(ONE, (FIRST,))
    if not owned:
        table.drop(ONE)
    nft.flush()
    assert table.restore(lambda: rules) is made_again
    assert (nft.elements is not None) is made_again
