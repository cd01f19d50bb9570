"""Starting programs, from any thread; the others go on meanwhile, see ``cni_runtime.spawn``."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from cni_runtime.spawn import Inherited, pidfd_of, posix_spawn
from crishim.core.errors import SystemCallError

_children: set[int] = set()


class Program(Struct, frozen=True, kw_only=True):
    """What to run. ``stdin``, ``stdout`` and ``stderr`` are descriptors, None for /dev/null.

    ``executable`` is the file to execute when ``argv`` only has another name for it; a name without a directory is
    looked for in the PATH of ``env``. ``hand_down`` lists further descriptors that the program gets under the same
    numbers. ``apart``: it leads a session of its own, and its user and group are the real ones of the thread that
    starts it.
    """

    argv: tuple[str, ...]
    executable: Path | None = None
    env: Mapping[str, str]
    directory: Path = Path("/")
    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    hand_down: tuple[int, ...] = ()
    apart: bool = False


class Spawned(Struct, frozen=True):
    """A process that was started, and the pidfd it is to be waited for with, which is the caller's to close."""

    pid: int
    pidfd: int


def spawn(program: Program) -> Spawned:
    """Start a program, which leads a process group of its own. Blocks until it is executed. Raises SystemCallError.

    To be handed to ``Child``, which reaps it. It runs in the namespaces and the root of the calling thread.
    """
    inherited = Inherited(
        stdio=(program.stdin, program.stdout, program.stderr),
        hand_down=program.hand_down,
        directory=str(program.directory),
        new_session=program.apart,
        real_ids=program.apart,
    )
    try:
        # No session of its own: with autogroups that would cost it half its share of a busy node.
        pid = posix_spawn(_file(program), program.argv, program.env, inherited)
        # At once: when this thread ends, the reaper takes a child that has no owner for an orphan.
        _children.add(pid)
        try:
            return Spawned(pid, pidfd_of(pid))
        except BaseException:  # it has been reaped
            forget_child(pid)
            raise
    except OSError as error:
        raise SystemCallError(f"start {program.argv[0]}: {error.strerror}") from error


def end(spawned: Spawned) -> None:
    """Kill what was started, with its process group, and reap it, where no ``Child`` has taken it. Blocks."""
    os.killpg(spawned.pid, signal.SIGKILL)
    os.waitid(os.P_PIDFD, spawned.pidfd, os.WEXITED)
    os.close(spawned.pidfd)
    forget_child(spawned.pid)


def is_child(pid: int) -> bool:
    """Whether this process was started here, or adopted, and is still to be reaped by its ``Child``."""
    return pid in _children


def note_child(pid: int) -> None:
    """Take a process for one that has an owner, from now on."""
    _children.add(pid)


def forget_child(pid: int) -> None:
    """A process has been reaped: its id may be another's now."""
    _children.discard(pid)


def _file(program: Program) -> str:
    file = str(program.executable or program.argv[0])
    if "/" in file:
        return file
    if found := shutil.which(file, path=program.env.get("PATH", os.defpath)):
        return found
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), file)
