"""Loading an AppArmor profile, with a program that plays the parser."""

from __future__ import annotations

from pathlib import Path

import pytest

from crishim.core.errors import DeadlineError, SystemCallError, UnavailableError
from crishim.drivers.apparmor import ABI, known_abi, load_profile

pytestmark = pytest.mark.anyio


def parser(directory: Path, text: str) -> str:
    program = directory / "parser"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return str(program)


async def test_what_the_parser_gets(tmp_path: Path) -> None:
    program = parser(tmp_path, f'echo "$1" > {tmp_path}/got; cat "$2" >> {tmp_path}/got')
    await load_profile("profile p {}\n", tmp_path / "p", parser=program)
    assert (tmp_path / "got").read_text() == "-Kr\nprofile p {}\n"


async def test_a_failure_says_what_the_parser_said(tmp_path: Path) -> None:
    program = parser(tmp_path, "printf 'no\nluck\n' >&2; exit 3")
    with pytest.raises(UnavailableError, match="parser ended with 3: no luck"):
        await load_profile("", tmp_path / "p", parser=program)


async def test_a_parser_that_takes_too_long(tmp_path: Path) -> None:
    program = parser(tmp_path, "exec sleep 1000")
    with pytest.raises(DeadlineError, match=r"-Kr .* did not end within 0\.1 s"):
        await load_profile("", tmp_path / "p", parser=program, seconds=0.1)


async def test_no_parser(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no-parser was not found"):
        await load_profile("", tmp_path / "p", parser="no-parser")
    assert not (tmp_path / "p").exists()


async def test_no_room_for_the_profile(tmp_path: Path) -> None:
    with pytest.raises(SystemCallError, match="write"):
        await load_profile("", tmp_path / "no/p", parser=parser(tmp_path, ""))


async def test_the_abi_is_known_where_it_lies(tmp_path: Path) -> None:
    assert await known_abi(tmp_path) == ""
    (tmp_path / "abi").mkdir()
    (tmp_path / ABI).touch()
    assert await known_abi(tmp_path) == ABI
