"""What several owners of a table may and may not have, and what a crash leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cni_runtime.net.libnftables import NftError
from cni_runtime.net.nft import Element, Holding, OwnedTable, Owner, Table, TakenError, stored_tables

ONE, TWO = Owner("net", "one", "eth0"), Owner("net", "two", "eth0")
OWN, OTHER, SHARED = Element("s", "1"), Element("s", "2"), Element("s", "9", shared=True)


class Transcript:
    """An nftables that knows which elements there are, and whether there is a table."""

    def __init__(self) -> None:
        self.elements: set[str] = set()
        self.table = False

    def run(self, commands: str) -> str:
        for line in commands.splitlines():
            verb, key = line.partition(" ")[0], line.partition("{ ")[2].partition(" }")[0]
            if line.startswith("delete table"):
                self.table, self.elements = False, set()
            elif line.startswith("table"):
                self.table = True
            elif " element " in line:
                self._element(verb, key)
        return json.dumps({"nftables": []})

    def _element(self, verb: str, key: str) -> None:
        if not self.table or (verb == "create" and key in self.elements):
            raise NftError(key)
        if verb == "delete" and key not in self.elements:
            raise NftError(key)
        self.elements = self.elements - {key} if verb == "delete" else self.elements | {key}


@pytest.fixture
def nft() -> Transcript:
    return Transcript()


@pytest.fixture
def table(nft: Transcript, tmp_path: Path) -> OwnedTable:
    return OwnedTable(Table("mine_a", ""), nft, tmp_path)


def first_of(holding: Holding) -> Element | None:
    return holding.elements[0]


def test_the_files_of_others_are_not_looked_at_for_each_pod(table: OwnedTable, nft: Transcript, tmp_path: Path) -> None:
    table.put(ONE, (OWN, SHARED), rival=first_of)
    (file,) = tmp_path.glob("mine_a/*.json")
    file.write_bytes(b"in place, which nobody does")
    table.put(TWO, (OTHER, SHARED))
    table.drop(TWO)
    assert nft.elements == {OWN.key, SHARED.key}


def test_a_shared_element_stays_until_its_last_owner_goes(table: OwnedTable, nft: Transcript) -> None:
    table.put(ONE, (OWN, SHARED))
    table.put(TWO, (OTHER, SHARED))
    table.drop(ONE)
    assert nft.elements == {"2", "9"}
    table.drop(TWO)
    assert not nft.table


@pytest.mark.parametrize("netns", ["", "/proc/self/ns/net"])
def test_a_rival_who_is_there_or_may_be_is_refused_by_name(table: OwnedTable, netns: str) -> None:
    table.put(ONE, (OWN,), netns=netns)
    with pytest.raises(TakenError, match="container one"):
        table.put(TWO, (OTHER,), rival=first_of)
    assert [holding.owner for holding in table.holdings()] == [ONE]


def test_a_rival_whose_namespace_is_gone_loses_all(table: OwnedTable, nft: Transcript, tmp_path: Path) -> None:
    table.put(ONE, (OWN, SHARED), netns=str(tmp_path / "gone"))
    table.put(TWO, (OTHER,), rival=first_of)
    assert nft.elements == {"2"}
    assert [holding.owner for holding in table.holdings()] == [TWO]


def test_an_owner_is_not_his_own_rival(table: OwnedTable, nft: Transcript) -> None:
    table.put(ONE, (OWN,), rival=first_of)
    table.put(ONE, (OTHER,), rival=first_of)
    assert nft.elements == {"2"}


def test_a_stored_table_can_be_taken_down_without_knowing_it(
    table: OwnedTable, nft: Transcript, tmp_path: Path
) -> None:
    table.put(ONE, (OWN,))
    (found,) = stored_tables("mine", nft, tmp_path)
    assert found.table == table.table
    assert found.drop(ONE)
    assert not nft.table


def test_a_table_is_stored_before_its_first_owner(tmp_path: Path) -> None:
    class Stopped(Transcript):
        def run(self, commands: str) -> str:
            if "element" in commands:
                raise KeyboardInterrupt
            return super().run(commands)

    with pytest.raises(KeyboardInterrupt):
        OwnedTable(Table("mine_a", ""), Stopped(), tmp_path).put(ONE, (OWN,))
    (found,) = stored_tables("mine", Transcript(), tmp_path)
    assert found.holding(ONE)


def test_without_state_there_are_no_stored_tables(nft: Transcript, tmp_path: Path) -> None:
    assert stored_tables("mine", nft, tmp_path / "nothing") == ()


def test_an_owner_whose_elements_another_program_took_is_dropped_all_the_same(
    table: OwnedTable, nft: Transcript
) -> None:
    table.put(ONE, (OWN,))
    table.put(TWO, (OTHER,))
    nft.elements.clear()
    assert table.drop(ONE)
    assert nft.elements == {"2"}
    assert not table.drop(ONE)
