"""When a start of the server loads the default AppArmor profile, with a program that plays the parser."""

from __future__ import annotations

from pathlib import Path

import pytest

from crishim.app.apparmor import open_apparmor
from crishim.container.spec.apparmor import DEFAULT_PROFILE
from crishim.drivers.cgroups import CgroupMode
from crishim.drivers.host_facts import HostFacts
from crishim.drivers.preflight import NeededProfile

pytestmark = pytest.mark.anyio

LOADED = NeededProfile(DEFAULT_PROFILE)


class Parser:
    """A program that keeps what it gets, and then ends with a status."""

    def __init__(self, directory: Path, status: int = 0) -> None:
        self.program, self._got = directory / "parser", directory / "got"
        self.program.write_text(f'#!/bin/sh\ncat "$2" > {self._got}\nexit {status}\n')
        self.program.chmod(0o755)

    async def start(self, *profiles: str, apparmor: bool = True) -> NeededProfile | None:
        facts = HostFacts(cgroup_mode=CgroupMode.V2, apparmor=apparmor, apparmor_profiles=frozenset(profiles))
        return await open_apparmor(facts, self.program.parent, str(self.program))

    @property
    def got(self) -> str:
        return self._got.read_text() if self._got.exists() else ""


async def test_it_is_loaded_where_it_is_missing(tmp_path: Path) -> None:
    parser = Parser(tmp_path)
    assert await parser.start("another") == LOADED
    assert f"profile {DEFAULT_PROFILE} " in parser.got


async def test_the_one_of_an_administrator_is_kept(tmp_path: Path) -> None:
    parser = Parser(tmp_path)
    assert await parser.start(DEFAULT_PROFILE) == LOADED
    assert parser.got == ""


async def test_one_of_ours_with_another_text_is_renewed(tmp_path: Path) -> None:
    parser = Parser(tmp_path)
    (tmp_path / "apparmor-profile").write_text("of an earlier version")
    assert await parser.start(DEFAULT_PROFILE) == LOADED
    first = parser.got
    assert f"profile {DEFAULT_PROFILE} " in first
    parser.program.unlink()  # it is not asked again
    assert await parser.start(DEFAULT_PROFILE) == LOADED


async def test_nothing_is_loaded_without_apparmor(tmp_path: Path) -> None:
    parser = Parser(tmp_path)
    assert await parser.start(apparmor=False) is None
    assert parser.got == ""


async def test_a_failure_is_told_and_not_fatal(tmp_path: Path) -> None:
    parser = Parser(tmp_path, status=1)
    needed = await parser.start()
    assert needed is not None
    assert needed.problem.endswith("parser ended with 1: ")
