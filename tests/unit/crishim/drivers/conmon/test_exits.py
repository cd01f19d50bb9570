from __future__ import annotations

import os
from pathlib import Path

import pytest

from crishim.drivers.conmon.exits import read_exit
from crishim.model.process import Exit


def test_an_end_has_the_code_and_the_time_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "c1").write_text("137")
    os.utime(tmp_path / "c1", ns=(0, 1_700_000_000_000_000_123))
    assert read_exit(tmp_path / "c1") == Exit(137, 1_700_000_000_000_000_123)


@pytest.mark.parametrize("content", ["", "-1", "seven", "\xff"])
def test_what_makes_no_sense_is_no_end(tmp_path: Path, content: str) -> None:
    (tmp_path / "c1").write_bytes(content.encode("latin-1"))
    assert read_exit(tmp_path / "c1") is None


def test_without_a_file_there_is_no_end(tmp_path: Path) -> None:
    assert read_exit(tmp_path / "c1") is None
