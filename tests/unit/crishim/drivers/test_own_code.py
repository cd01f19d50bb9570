from __future__ import annotations

import re
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from crishim.drivers.own_code import executable_mappings, release_code

SMAPS = """\
55d0a0000000-55d0a0001000 r--p 00000000 fe:00 11 /usr/bin/python3
Rss:                   4 kB
Anonymous:             0 kB
55d0a0001000-55d0a0003000 r-xp 00001000 fe:00 11 /usr/bin/python3
Rss:                   8 kB
Anonymous:             0 kB
7f0000000000-7f0000001000 r-xp 00000000 fe:00 12 /usr/lib/patched.so
Anonymous:             4 kB
7f0000001000-7f0000002000 r-xp 00000000 00:00 0
Anonymous:             0 kB
7f0000003000-7f0000004000 rwxp 00000000 fe:00 13 /usr/lib/written.so
Anonymous:             0 kB
"""


def test_only_code_that_is_as_in_its_file_is_let_go() -> None:
    assert list(executable_mappings(SMAPS)) == [(0x55D0A0001000, 0x55D0A0003000)]


def test_released_code_takes_no_memory_and_still_runs() -> None:
    before = resident()
    release_code()
    assert resident() < before
    assert sorted([2, 1]) == [1, 2]


@pytest.mark.parametrize(
    ("smaps", "error"),
    [
        (None, "No such file or directory"),
        (b"00001000-00002000 r-xp 00000000 fe:00 11 /usr/lib/nowhere.so\nAnonymous: 0 kB\n", "Cannot allocate memory"),
        (b"55d0a0000000-55d0a0001000 r--p 00000000 fe:00 11 /usr/lib/\xff\xe2\x80\xa8\xe2\x80\xa8.so\n", ""),
    ],
    ids=["unknown", "refused", "strange name"],
)
def test_code_that_can_not_be_released_is_kept(tmp_path: Path, smaps: bytes | None, error: str) -> None:
    if smaps is not None:
        (tmp_path / "smaps").write_bytes(smaps)
    with capture_logs() as logs:
        release_code(tmp_path / "smaps")
    assert [error in entry["error"] for entry in logs] == ([True] if error else [])


def resident() -> int:
    """KiB of files that are mapped into this process."""
    found = re.search(r"RssFile:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])
