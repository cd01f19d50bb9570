"""What owners have is known without looking, until somebody else changes anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from cni_runtime import files
from cni_runtime.net.holdings import Holding, Holdings, Owner, locked
from cni_runtime.net.nftcommands import Element

ONE, TWO, THREE = (Holding(Owner("net", name, "eth0"), (Element("s", name),)) for name in ("one", "two", "three"))
FORGED = Holding(ONE.owner, (Element("s", "forged"),))


@pytest.fixture
def holdings(tmp_path: Path) -> Holdings:
    """With two owners, known already."""
    found = Holdings(tmp_path)
    for holding in (ONE, TWO):
        found.write(holding)
    assert _of(found) == {ONE, TWO}
    return found


def _of(holdings: Holdings) -> set[Holding]:
    return set(holdings.known())


def _as_another_process(holdings: Holdings, holding: Holding) -> None:
    files.replace(holdings.path(holding.owner), msgspec.json.encode(holding))


@pytest.mark.parametrize("is_old", [False, True])
def test_nobody_else_can_have_the_lock(tmp_path: Path, is_old: bool) -> None:
    directory = tmp_path / "nftables" / "table"
    if is_old:
        directory.mkdir(0o755, parents=True)
    with locked(directory):
        assert directory.stat().st_mode & 0o777 == 0o700


def test_what_is_known_is_not_looked_at_again(holdings: Holdings, tmp_path: Path) -> None:
    # Nobody writes in place; this only shows that it is not read.
    holdings.path(ONE.owner).write_bytes(msgspec.json.encode(FORGED))
    holdings.write(THREE)
    holdings.remove(TWO.owner)
    holdings.write_other("table", b"{}")
    assert _of(holdings) == _of(Holdings(tmp_path)) == {ONE, THREE}
    assert set(holdings.all()) == {FORGED, THREE}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda holdings: _as_another_process(holdings, THREE), {ONE, TWO, THREE}),
        (lambda holdings: _as_another_process(holdings, FORGED), {FORGED, TWO}),
        (lambda holdings: holdings.path(ONE.owner).unlink(), {TWO}),
    ],
)
def test_what_others_have_changed_is_seen_at_once(
    holdings: Holdings, change: Callable[[Holdings], object], expected: set[Holding]
) -> None:
    change(holdings)
    assert _of(holdings) == expected


def test_a_change_after_that_of_another_does_not_hide_it(holdings: Holdings) -> None:
    _as_another_process(holdings, FORGED)
    holdings.write(THREE)
    assert _of(holdings) == {FORGED, TWO, THREE}


def test_a_change_that_fails_half_way_is_looked_at(holdings: Holdings) -> None:
    holdings.path(THREE.owner).mkdir()
    with pytest.raises(OSError, match="directory"):
        holdings.write(THREE)
    holdings.path(THREE.owner).rmdir()
    assert _of(holdings) == {ONE, TWO}


@pytest.mark.parametrize("known", [True, False])
def test_who_is_the_only_one(holdings: Holdings, *, known: bool) -> None:
    if not known:
        _as_another_process(holdings, TWO)
    assert not holdings.is_only(ONE.owner)
    holdings.remove(TWO.owner)
    assert holdings.is_only(ONE.owner)
    files.replace(holdings.path(TWO.owner), b"damaged")
    assert not holdings.is_only(ONE.owner)
