from __future__ import annotations

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_runtime.errors import ConfigError
from cni_runtime.plugins.host_local.ranges import (
    Address,
    RangeSet,
    address_of,
    capacity,
    check_sets,
    free,
    make_range,
    next_free,
    range_of,
)


def small_sets() -> st.SearchStrategy[RangeSet]:
    """One to three ranges in networks that do not overlap."""

    def build(shapes: list[tuple[int, int, int]]) -> RangeSet:
        ranges = []
        for number, (low, length, gateway) in enumerate(shapes):
            start = min(low, 14)
            end = min(14, start + length)
            net = f"10.{number}.0"
            ranges.append(make_range(f"{net}.0/28", f"{net}.{start}", f"{net}.{end}", f"{net}.{gateway}"))
        return tuple(ranges)

    shape = st.tuples(st.integers(1, 14), st.integers(0, 13), st.integers(1, 14))
    return st.lists(shape, min_size=1, max_size=3).map(build)


def every(ranges: RangeSet) -> set[Address]:
    numbers = ((one, number) for one in ranges for number in range(int(one.start), int(one.end) + 1))
    return {IPv4Address(number) for one, number in numbers if number != int(one.gateway)}


@given(small_sets(), st.randoms())
def test_every_address_is_given_once_and_then_there_is_none(ranges: RangeSet, random: st.DataObject) -> None:
    reserved: dict[Address, None] = {}
    last: Address | None = None
    while found := next_free(ranges, last, reserved):
        last = found[0]
        assert last not in reserved
        reserved[last] = None
    assert set(reserved) == every(ranges)
    assert (free(ranges, reserved), capacity(ranges)) == (0, len(reserved))


@given(small_sets(), st.data())
def test_the_address_released_last_comes_last(ranges: RangeSet, data: st.DataObject) -> None:
    addresses = sorted(every(ranges))
    if len(addresses) < 2:
        return
    last = data.draw(st.sampled_from(addresses))
    found = next_free(ranges, last, ())
    assert found is not None
    assert found[0] != last
    assert next_free(ranges, last, set(addresses) - {last}) == (last, range_of(ranges, last))


@given(small_sets(), st.data())
def test_what_is_given_is_in_its_range_and_not_reserved(ranges: RangeSet, data: st.DataObject) -> None:
    reserved = data.draw(st.sets(st.sampled_from(sorted(every(ranges)) or [IPv4Address(1)])))
    last = data.draw(st.none() | st.integers(0, 2**32 - 1).map(IPv4Address))
    found = next_free(ranges, last, reserved)
    assert (found is None) == (every(ranges) <= reserved)
    if found:
        assert found[0] not in reserved
        assert found[0] in found[1]


@pytest.mark.parametrize(
    ("subnet", "more", "expected"),
    [
        ("10.1.0.0/24", (), ("10.1.0.1", "10.1.0.254", "10.1.0.1")),
        ("fd00::/64", (), ("fd00::1", "fd00::ffff:ffff:ffff:ffff", "fd00::1")),
        ("10.1.0.0/30", (), ("10.1.0.1", "10.1.0.2", "10.1.0.1")),
        ("10.1.0.0/24", ("10.1.0.9", "10.1.0.9", "10.1.0.254"), ("10.1.0.9", "10.1.0.9", "10.1.0.254")),
    ],
)
def test_what_is_not_said_is_filled_in(subnet: str, more: tuple[str, ...], expected: tuple[str, str, str]) -> None:
    found = make_range(subnet, *more)
    assert tuple(map(str, (found.start, found.end, found.gateway))) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("10.1.0.1/24",), "has host bits set"),
        (("10.1.0.0/31",), "too small"),
        (("fd00::/127",), "too small"),
        (("nonsense",), "expected a network"),
        (("::ffff:10.1.0.0/120",), "in the notation of IPv6"),
        (("10.1.0.0/24", "10.2.0.1"), "rangeStart 10.2.0.1 is not in 10.1.0.0/24"),
        (("10.1.0.0/24", "", "10.2.0.1"), "rangeEnd 10.2.0.1 is not in"),
        (("10.1.0.0/24", "10.1.0.9", "10.1.0.8"), "ends before it starts"),
        (("10.1.0.0/24", "", "", "x"), "gateway: expected an IP address"),
    ],
)
def test_ranges_that_cannot_be(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_range(*arguments)


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ((), "no IP ranges"),
        (((),), "range set 0 is empty"),
        (((make_range("10.1.0.0/24"), make_range("fd00::/64")),), "mixes address families"),
        (((make_range("10.1.0.0/24"),), (make_range("10.1.0.128/25"),)), "overlaps"),
        (((make_range("10.1.0.0/25"), make_range("10.1.0.0/24")),), "overlaps"),
    ],
)
def test_sets_that_cannot_be(sets: tuple[RangeSet, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_sets(sets)


def test_an_address_may_have_a_prefix_or_be_mapped() -> None:
    assert {address_of(text, "x") for text in ("10.1.0.5", "10.1.0.5/24", "::ffff:10.1.0.5")} == {
        ip_address("10.1.0.5")
    }
