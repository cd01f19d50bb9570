from __future__ import annotations

from pathlib import Path

from crishim.drivers.cgroups.files import read_pairs


def test_lines_without_sense_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a 1\nb\nc x\nd 2 3\n\ne 4\n")
    assert read_pairs(tmp_path / "f") == {"a": 1, "e": 4}
