"""Comparing and choosing CNI versions."""

import pytest

from cni_runtime.errors import ErrorCode, VersionError
from cni_runtime.versions import CURRENT, SUPPORTED, at_least, negotiate, parse, require


def test_the_supported_versions_are_in_order() -> None:
    assert sorted(SUPPORTED, key=parse) == list(SUPPORTED)
    assert CURRENT == "1.1.0"


@pytest.mark.parametrize(
    "version", ["", "1", "1.0", "1.0.0.0", "1.0.x", "v1.0.0", "1.0.-1", "1.0.٣", "1.0." + "9" * 5000]
)
def test_what_is_not_a_version_is_refused(version: str) -> None:
    with pytest.raises(VersionError) as caught:
        parse(version)
    assert caught.value.code == ErrorCode.INCOMPATIBLE_VERSION


@pytest.mark.parametrize(
    ("version", "minimum", "expected"),
    [("0.4.0", "0.4.0", True), ("0.3.1", "0.4.0", False), ("1.0.0", "0.4.0", True), ("0.10.0", "0.4.0", True)],
)
def test_at_least(version: str, minimum: str, expected: bool) -> None:
    assert at_least(version, minimum) is expected


@pytest.mark.parametrize(
    ("one", "many", "expected"),
    [
        ("", [], "0.1.0"),
        ("0.3.1", [], "0.3.1"),
        ("", ["1.0.0", "0.4.0"], "1.0.0"),
        ("1.1.0", ["1.0.0", "0.4.0"], "1.1.0"),
        ("0.4.0", ["1.0.0", "7.0.0"], "1.0.0"),
        ("9.0.0", ["0.4.0", "x"], "0.4.0"),
    ],
)
def test_negotiate_takes_the_highest_known_version(one: str, many: list[str], expected: str) -> None:
    assert negotiate(one, many) == expected


@pytest.mark.parametrize(("one", "many"), [("0.5.0", []), ("2.0.0", ["3.0.0"]), ("", ["x"])])
def test_negotiate_names_what_it_found(one: str, many: list[str]) -> None:
    with pytest.raises(VersionError, match=one or "x"):
        negotiate(one, many)


def test_require_refuses_a_version_it_does_not_know() -> None:
    assert require("1.0.0") == "1.0.0"
    with pytest.raises(VersionError, match=r"'1\.2\.0'.*1\.1\.0"):
        require("1.2.0")
