from __future__ import annotations

from pathlib import Path

import pytest

from crishim.core.errors import UnavailableError
from crishim.drivers.process.programs import find_program


def test_the_first_that_is_there_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("b", "c"):
        (tmp_path / name).touch(0o755)
    assert find_program("a", "b", "c") == find_program(str(tmp_path / "b")) == tmp_path / "b"


def test_the_places_of_root_are_searched_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program("chroot") == Path("/usr/sbin/chroot")


def test_what_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UnavailableError, match=r"^x-y or x-z was not found in /nowhere:"):
        find_program("x-y", "x-z")
