"""Starting an infra process: what a thread does to itself before it starts one, in the order in which it can."""

from __future__ import annotations

import gc
import resource
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from crishim.drivers import credentials, syscalls
from crishim.drivers.infra.root import NOTHING, PROGRAM, EmptyRoot
from crishim.drivers.infra.system_calls import confine
from crishim.drivers.process.spawn import Program, Spawned, end, spawn
from crishim.drivers.syscalls import opened, system_call
from crishim.model.sandbox import NamespacePaths

# Of Debian and openSUSE, of Fedora and RHEL, and what podman brings along.
_CATATONIT = ("usr/bin/catatonit", "usr/libexec/catatonit/catatonit", "usr/libexec/podman/catatonit")

_NET, _IPC, _UTS = syscalls.CLONE_NEWNET, syscalls.CLONE_NEWIPC, syscalls.CLONE_NEWUTS
_OWN = syscalls.CLONE_NEWPID | syscalls.CLONE_NEWCGROUP

# Users that nothing else has: see the ranges of systemd's page on users, groups, UIDs and GIDs.
_FIRST_USER, _USERS = 0x70000000, 1 << 28

# Of one who only waits. It is in no control group of the pod's, so nobody who takes hold of it is to profit by that.
_LIMITS = {
    resource.RLIMIT_NPROC: 1,
    resource.RLIMIT_AS: 16 << 20,
    resource.RLIMIT_NOFILE: 16,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_CORE: 0,
}


_turn = threading.Lock()


def find_catatonit(node: Path = Path("/")) -> Path:
    """Where the node has the program; where Debian has it when it is not there."""
    places = [node / place for place in _CATATONIT]
    return next((place for place in places if place.exists()), places[0])


CATATONIT = find_catatonit()


class InfraProcess(Struct, frozen=True):
    """What is wanted: the namespaces it joins, besides the PID, mount and cgroup namespace of its own.

    ``oom_score_adj`` as in proc(5).
    """

    joined: NamespacePaths
    oom_score_adj: int


def command_line(label: str) -> tuple[str, ...]:
    """The arguments of an infra process; the program passes over ``label``, by which the process can be found."""
    return (PROGRAM, "-P", label)


def start(wanted: InfraProcess, root: EmptyRoot, label: str) -> Spawned:
    """Start an infra process from the calling thread, which must end then. Raises SystemCallError.

    Its user is nobody else's: none but root may signal the thread and the process, and its limits count no others.
    """
    _join(wanted.joined)
    root.enter()
    with system_call("unshare", "PID and cgroup namespace"):
        syscalls.unshare(_OWN)
    with opened(NOTHING) as nothing, _undisturbed():
        with system_call("give up", "privileges"):
            credentials.give_up_privileges()
            credentials.become(_FIRST_USER + secrets.randbelow(_USERS))
            confine()
        program = Program(
            argv=command_line(label), executable=Path(PROGRAM), env={}, stdin=nothing, stdout=nothing, stderr=nothing,
            apart=True,
        )  # fmt: skip
        try:
            spawned = spawn(program)
        finally:
            credentials.restore_dumpable()
        _limit(spawned)
    return spawned


def _join(paths: NamespacePaths) -> None:
    for kind, path in ((_NET, paths.net), (_IPC, paths.ipc), (_UTS, paths.uts)):
        if path is not None:
            syscalls.enter(path, kind)


def _limit(spawned: Spawned) -> None:
    """Set limits from the only thread that may: one of the same user. Ends the process when that fails."""
    try:
        with system_call("limit", f"process {spawned.pid}"), suppress(ProcessLookupError):
            for kind, most in _LIMITS.items():
                resource.prlimit(spawned.pid, kind, (most, most))
    except BaseException:
        end(spawned)
        raise


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Nobody's garbage is collected in this thread meanwhile, which cannot do what that may take."""
    with _turn:
        collecting = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if collecting:
                gc.enable()
