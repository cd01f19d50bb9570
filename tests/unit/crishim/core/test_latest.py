"""Only what was asked for last is kept."""

from crishim.core.latest import Latest


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    latest: Latest[str, int] = Latest(2)
    for key, value in (("a", 1), ("b", 2)):
        latest.put(key, value)
    assert latest.get("a") == 1
    latest.put("c", 3)
    assert [latest.get(key) for key in "abc"] == [1, None, 3]


def test_a_value_is_replaced() -> None:
    latest: Latest[str, int] = Latest(1)
    latest.put("a", 1)
    latest.put("a", 2)
    assert latest.get("a") == 2
