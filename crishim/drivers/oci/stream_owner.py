"""Who the pipes belong to that a container's processes write to.

A process may write to its standard output whoever owns it, but it can open it by name, as /dev/stdout, only when the
owner is one it knows. An OCI runtime gives the pipes to the process's user, which it cannot where a user namespace
does not have their owner; so they are given here to who that user is on the node.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from typing import Any

from crishim.core.errors import RuntimeFailedError
from crishim.drivers.process.identity import ProcessId, identify
from crishim.drivers.syscalls import system_call
from crishim.model.pod import IDMapping, NamespaceMode, UserNamespace

Owner = tuple[int, int]


def user_namespace(linux: Mapping[str, Any]) -> UserNamespace | None:
    """The one that the ``linux`` object of an OCI configuration names the ids of."""
    uids, gids = (
        tuple([IDMapping(each["hostID"], each["containerID"], each["size"]) for each in linux.get(name, ())])
        for name in ("uidMappings", "gidMappings")
    )
    return UserNamespace(NamespaceMode.POD, uids, gids) if uids and gids else None


def owner_of_streams(userns: UserNamespace, process: Mapping[str, Any]) -> Owner:
    """Who the user of an OCI ``process`` is on the node."""
    user = process.get("user", {})
    return userns.on_node(user.get("uid", 0), user.get("gid", 0))


def give(descriptors: Iterable[int | None], owner: Owner) -> None:
    """Give those descriptors that are pipes to ``owner``."""
    for descriptor in descriptors:
        if descriptor is not None and stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            with system_call("chown", f"descriptor {descriptor}"):
                os.fchown(descriptor, *owner)


def give_of(process: ProcessId, owner: Owner) -> None:
    """Give the pipes that are the streams of another process to ``owner``. Raises RuntimeFailedError when it is gone.

    Through the open directory of the process in /proc, which never means another one.
    """
    with system_call("open", f"/proc/{process.pid}"):
        directory = os.open(f"/proc/{process.pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if identify(process.pid) != process:
            raise RuntimeFailedError(f"process {process.pid}, the container's first, is gone")
        for number in range(3):
            with system_call("chown stream", f"{number} of process {process.pid}"):
                if stat.S_ISFIFO(os.stat(f"fd/{number}", dir_fd=directory).st_mode):
                    os.chown(f"fd/{number}", *owner, dir_fd=directory)
    finally:
        os.close(directory)
