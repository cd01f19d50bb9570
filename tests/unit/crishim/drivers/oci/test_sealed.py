"""Copies of programs in memory: run in place of their file, unless it is one that must be run as it is."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from crishim.drivers.oci.sealed import sealed


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return Path(shutil.copy("/bin/true", tmp_path / "crun"))


def test_the_copy_runs_and_can_not_be_changed(program: Path) -> None:
    copy = sealed(program)
    assert (copy.parent, subprocess.run([copy], check=False).returncode) == (Path(f"/proc/{os.getpid()}/fd"), 0)
    with pytest.raises(PermissionError):
        os.write(os.open(copy, os.O_WRONLY), b"changed")


def test_a_program_is_copied_once_until_it_is_replaced(program: Path) -> None:
    first = sealed(program)
    assert sealed(program) == first
    shutil.copy("/bin/false", program.with_name("new"))
    program.with_name("new").replace(program)
    assert subprocess.run([sealed(program)], check=False).returncode == 1


@pytest.mark.parametrize("name", ["kata", "crun"])
def test_what_is_run_as_it_is(tmp_path: Path, name: str) -> None:
    program = tmp_path / name
    program.write_text("#!/bin/sh\n")
    assert sealed(program) == program


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    assert sealed(tmp_path / "crun") == tmp_path / "crun"
