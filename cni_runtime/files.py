"""Small files that other programs write too: read with a limit, replaced as a whole.

A pod waits for a dozen of them. So paths are text here: what ``pathlib`` does to one takes as long as a system call.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from cni_runtime import faults

_LEAST_STEP = 4095


def read_regular(path: Path, limit: int) -> bytes:
    """The content of ``path``, at most ``limit`` bytes.

    Raises OSError when it cannot be read, is not a regular file (opening a pipe would block) or is larger.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is not a regular file")
        data, step = b"", min(max(status.st_size, _LEAST_STEP), limit) + 1  # mostly all of it in one step
        while len(data) <= limit and (more := os.read(handle, step)):
            data += more
    finally:
        os.close(handle)
    if len(data) > limit:
        raise OSError(f"{path} is larger than {limit} bytes")
    return data


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put ``data`` at ``path`` in one step: a reader sees the old content or all of the new. Raises OSError.

    The temporary name is always the same, so what a crash leaves is overwritten by the next try. Nothing is
    synced to disk: these files describe state of the kernel, which a power cut takes away as well.
    """
    faults.reach("files.replace.write")
    partial = _partial(path)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(handle, mode)  # whatever the umask, and the mode of what a crash has left
        while data:
            data = data[os.write(handle, data) :]
    finally:
        os.close(handle)
    faults.reach("files.replace.rename")
    os.replace(partial, path)  # noqa: PTH105


def remove(path: Path) -> None:
    """Delete ``path``, and what a crash of ``replace`` has left beside it; neither need be there. Raises OSError."""
    faults.reach("files.remove")
    for one in (_partial(path), path):
        with suppress(FileNotFoundError):
            os.unlink(one)  # noqa: PTH108


def partial_path(path: Path) -> Path:
    """Where ``replace`` writes before it renames."""
    return Path(_partial(path))


def _partial(path: Path) -> str:
    directory, name = os.path.split(path)
    return f"{directory or '.'}/.{name}.partial"


def is_own_netns(path: str) -> bool:
    """Whether ``path`` is the network namespace that this process is in; no when there is nothing at ``path``."""
    try:
        return os.path.samefile(path, "/proc/self/ns/net")  # noqa: PTH121
    except OSError:
        return False
