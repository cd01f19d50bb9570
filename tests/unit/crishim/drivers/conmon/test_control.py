from __future__ import annotations

import os
from pathlib import Path

import pytest

from crishim.core.errors import FailedPreconditionError
from crishim.drivers.conmon.argv import MonitorFiles
from crishim.drivers.conmon.control import resize


@pytest.fixture
def files(tmp_path: Path) -> MonitorFiles:
    return MonitorFiles("c1", tmp_path, tmp_path)


def test_a_size_is_told_height_first(files: MonitorFiles) -> None:
    os.mkfifo(files.control)
    reading = os.open(files.control, os.O_RDONLY | os.O_NONBLOCK)
    resize(files, width=100, height=40)
    assert os.read(reading, 100) == b"1 40 100\n"
    os.close(reading)


def test_nobody_listens_any_more(files: MonitorFiles) -> None:
    os.mkfifo(files.control)
    with pytest.raises(FailedPreconditionError, match="container c1 has ended"):
        resize(files, 80, 25)


def test_there_never_was_a_monitor(files: MonitorFiles) -> None:
    with pytest.raises(FailedPreconditionError, match="container c1 has ended"):
        resize(files, 80, 25)
