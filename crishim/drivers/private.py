"""Directories that users of the node do not get into.

What a container made as its root may have the set-user-id bit, and its configuration holds secrets. Where its root is
another user of the node, that one has to get through, since an OCI runtime sets up the mounts as that user.
"""

from __future__ import annotations

import os
from pathlib import Path

from crishim.drivers.syscalls import system_call
from crishim.model.pod import UserNamespace


def make_private(directory: Path, userns: UserNamespace | None = None) -> None:
    """Make a directory, or shut the one that is there, for all but root; the root of ``userns`` gets through it.

    Blocks. Raises SystemCallError.
    """
    with system_call("mkdir", str(directory)):
        directory.parent.mkdir(0o711, parents=True, exist_ok=True)
        directory.mkdir(0o700, exist_ok=True)
        if userns is None:
            directory.chmod(0o700)
        else:
            _, group = userns.on_node(0, 0)
            os.chown(directory, -1, group)
            directory.chmod(0o710)
