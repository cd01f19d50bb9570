"""Where the programs of the node are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from crishim.core.errors import UnavailableError

_MORE_PATH = "/usr/local/sbin:/usr/sbin:/sbin"  # often not in the PATH of a service


def program_path() -> str:
    """The PATH of this process, for the programs that it starts."""
    return os.environ.get("PATH", os.defpath)


def find_program(*names: str) -> Path:
    """The first program of these names or paths that is there. Raises UnavailableError."""
    search = f"{program_path()}:{_MORE_PATH}"
    for name in names:
        if path := shutil.which(name, path=search):
            return Path(path).absolute()
    raise UnavailableError(f"{' or '.join(names)} was not found in {search}")
