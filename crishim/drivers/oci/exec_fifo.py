"""The named pipe at which the first process of a container waits that crun has made.

``crun start`` writes a byte to it, and removes it. That takes microseconds, and the start of a program two
milliseconds, a tenth of all that it takes to make and start a container. So it is done here, and crun is asked only
when nobody waits, since it can say why.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cni_runtime import faults
from crishim.drivers.syscalls import system_call

_NAME, _STATUS = "exec.fifo", "status"  # in crun's src/libcrun/status.c
_NOBODY_WAITS = (errno.ENOENT, errno.ENXIO, errno.EPIPE)


def starts_by_fifo(program: Path, spec: Mapping[str, Any]) -> bool:
    """Whether nothing else is done when a container with the OCI configuration ``spec`` starts: no hook is run then.

    runc has such a pipe as well, but a container of its own ends with an error when who starts it is killed.
    """
    return program.name == "crun" and not spec.get("hooks", {}).get("poststart")


def let_run(state: Path) -> bool:
    """Let a container run whose state crun keeps in the directory ``state``; False when it does not wait for that.

    The byte goes first: then a server that ends before the pipe is removed leaves something for the next one to
    finish, be it by doing it all again. What another program keeps there that is called crun is left alone, such as
    runc by a link. Raises SystemCallError.
    """
    pipe = state / _NAME
    with system_call("let run", str(pipe)):
        if not (state / _STATUS).exists():
            return False
        waited = _write(pipe)
        faults.reach("oci.start.let_run")
        pipe.unlink(missing_ok=True)
    return waited


def _write(pipe: Path) -> bool:
    try:
        end = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(end, b"\0")
        finally:
            os.close(end)
    except OSError as error:
        if error.errno not in _NOBODY_WAITS:
            raise
        return False
    return True
