"""Choosing from an index."""

from __future__ import annotations

from pathlib import Path

import pytest

from crishim.image.platform import Platform, amd64_variant, choose, host_platform, normalize

ARM64 = Platform("arm64", "linux", "v8")
AMD64 = Platform("amd64", "linux", "v3")


def _offer(*texts: str) -> list[Platform | None]:
    parts = [text.split("/") for text in texts]
    return [None if part == ["-"] else Platform(part[1], part[0], *part[2:]) for part in parts]


@pytest.mark.parametrize(
    ("host", "offered", "chosen"),
    [
        (AMD64, ("linux/arm64", "linux/amd64"), 1),
        (AMD64, ("linux/amd64", "linux/amd64/v2", "linux/amd64/v4"), 1),
        (AMD64, ("linux/amd64/v4",), None),
        (AMD64, ("linux/386",), 0),
        (AMD64, ("linux/386", "linux/x86_64"), 1),
        (ARM64, ("linux/arm/v7", "linux/arm64"), 1),
        (ARM64, ("linux/arm/v6", "linux/arm/v7"), 1),
        (ARM64, ("linux/arm64/v9",), None),
        (Platform("arm", "linux", "v6"), ("linux/arm/v7", "linux/arm/v5"), 1),
        (Platform("arm", "linux", "7"), ("linux/arm",), 0),
        (Platform("s390x", "linux"), ("linux/amd64", "linux/s390x"), 1),
        (AMD64, ("windows/amd64",), None),
        (AMD64, ("unknown/unknown", "-"), None),
        (AMD64, (), None),
    ],
)
def test_choice(host: Platform, offered: tuple[str, ...], chosen: int | None) -> None:
    assert choose(host, _offer(*offered)) == chosen


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("", "v1"),
        ("ssse3 sse4_1 sse4_2 popcnt cx16", "v2"),
        ("avx2 bmi1 bmi2 fma f16c movbe", "v1"),
        ("ssse3 sse4_1 sse4_2 popcnt cx16 avx2 bmi1 bmi2 fma f16c movbe", "v3"),
    ],
)
def test_levels_of_a_processor(flags: str, level: str) -> None:
    assert amd64_variant(flags.split()) == level


def test_spelling() -> None:
    assert normalize(Platform("AARCH64", "Linux")) == ARM64


def test_this_machine_can_be_named(tmp_path: Path) -> None:
    assert host_platform(tmp_path / "none").os == "linux"
