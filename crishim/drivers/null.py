"""The node's /dev/null for processes in containers, which cannot change it.

A process may change owner, mode and attributes of whatever file it has open, as far as it is allowed to: root of a
container those of the node's /dev/null, and nobody else on the node could open that any more. So what a container is
handed has been opened on a mount that is read-only: there a device can be written to, but not changed.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from crishim.drivers import syscalls
from crishim.drivers.syscalls import system_call

_NULL = "/dev/null"


def open_null() -> int:
    """A descriptor for reading and writing, which is the caller's to close. Needs Linux 5.12. Raises SystemCallError.

    The mount is nowhere to be seen, and there as long as the descriptor is.
    """
    with system_call("open on a read-only mount", _NULL):
        mount = syscalls.clone_mount(_NULL)
        try:
            syscalls.set_mount_attributes(mount, syscalls.MOUNT_ATTR_RDONLY, 0)
            return os.open(f"/proc/self/fd/{mount}", os.O_RDWR | os.O_CLOEXEC)
        finally:
            os.close(mount)


def take_back_null() -> None:
    """Let the node's /dev/null be root's again: crun gives the root of a user namespace whatever its streams are.

    A container there has the node's as its own /dev/null, whatever it is handed. Raises SystemCallError.
    """
    path = Path(_NULL)
    with system_call("take back", _NULL):
        status = path.stat()
        if (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) != (0, 0, 0o666):
            os.chown(path, 0, 0)
            path.chmod(0o666)
