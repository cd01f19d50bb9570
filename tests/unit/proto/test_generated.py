"""The generated code in the tree is what hack/gen-proto makes of the interface."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_generated_code_is_current() -> None:
    command = [str(ROOT / "hack/gen-proto"), "--check"]
    environment = os.environ | {"PYTHON": sys.executable}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
