from __future__ import annotations

import os
import subprocess
from pathlib import Path

from crishim.drivers.syscalls import become_subreaper


def test_an_orphan_becomes_our_child() -> None:
    become_subreaper()
    orphan = int(subprocess.check_output(["sh", "-c", "sleep 60 >&- & echo $!"]))
    assert f"PPid:\t{os.getpid()}" in Path(f"/proc/{orphan}/status").read_text()
