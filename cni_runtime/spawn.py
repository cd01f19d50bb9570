"""Starting a program without copying this process and without holding up its other threads.

``subprocess`` and ``os.posix_spawn`` keep Python's global lock until the program is executed: half a millisecond on an
idle machine, but on a busy one as long as the new process waits for a processor, and no thread of this one runs
meanwhile. So the C library's posix_spawn(3) is called here by way of ctypes, which gives the lock up for the call.

Needs GNU's C library 2.34 or newer.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import functools
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress

from msgspec import Struct

Stdio = tuple[int | None, int | None, int | None]

# POSIX_SPAWN_* of <spawn.h>
_RESETIDS, _SETPGROUP, _SETSIGDEF, _SETSIGMASK, _SETSID = 0x01, 0x02, 0x04, 0x08, 0x80
_FIRST = 3  # the first descriptor that is not a standard stream

# Room for the types of <spawn.h> and <signal.h>, which are of 336, 80 and 128 bytes on 64-bit machines.
_Attributes = ctypes.c_uint64 * 64
_FileActions = ctypes.c_uint64 * 16
_SignalSet = ctypes.c_uint64 * 16

# Opened once: where a program is started later there may be no such file.
_null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)

_quick = ctypes.PyDLL(None)  # with the lock: to give it up and to wait for it again takes longer than these calls
_posix_spawn = ctypes.CDLL(None).posix_spawn  # without


class Inherited(Struct, frozen=True, kw_only=True):
    """What a program gets of this process; all other descriptors are closed for it.

    ``stdio`` are descriptors for its standard streams, None for /dev/null. ``hand_down`` lists those that it gets under
    the same numbers, which are above 2. ``directory`` None: that of the calling thread. ``new_session``: it leads a
    session of its own, not only a process group. ``real_ids``: its effective user and group are the real ones of the
    calling thread.
    """

    stdio: Stdio = (None, None, None)
    hand_down: tuple[int, ...] = ()
    directory: str | None = None
    new_session: bool = False
    real_ids: bool = False


def posix_spawn(path: str, argv: Sequence[str], env: Mapping[str, str], inherited: Inherited) -> int:
    """Execute ``path`` in a new process, which leads a process group of its own; its id.

    Returns when the program is executed. Blocks only the calling thread; the process is in that thread's namespaces
    and root. No signal is blocked or ignored in it. Raises OSError, also for a directory that is not there.
    """
    pid = ctypes.c_int()
    arguments, environment = _strings(argv), _strings(f"{name}={value}" for name, value in env.items())
    with ExitStack() as undo:
        actions, attributes = _file_actions(inherited, undo), _attributes(inherited.new_session, inherited.real_ids)
        _check(_posix_spawn(ctypes.byref(pid), _text(path), actions, attributes, arguments, environment), path)
    return pid.value


def pidfd_of(pid: int) -> int:
    """A pidfd of a program that has just been started, which is the caller's to close. Raises OSError.

    There may be no descriptors left: what cannot be watched must not run, so it is killed with its group, and reaped.
    """
    try:
        return os.pidfd_open(pid)
    except BaseException:
        with suppress(ProcessLookupError, ChildProcessError):  # somebody else has reaped it
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        raise


def _file_actions(inherited: Inherited, undo: ExitStack) -> ctypes.Array[ctypes.c_uint64]:
    """What is done in the new process before the program is executed; ``undo`` is for after that."""
    actions = _FileActions()
    _do("posix_spawn_file_actions_init", actions)
    undo.callback(_do, "posix_spawn_file_actions_destroy", actions)
    sources = [_above_stdio(_null if each is None else each, undo) for each in inherited.stdio]
    for target, source in enumerate(sources):
        _do("posix_spawn_file_actions_adddup2", actions, source, target)
    for name, *descriptors in _closing_all_but(inherited.hand_down):
        _do(f"posix_spawn_file_actions_{name}", actions, *descriptors)
    if inherited.directory is not None:
        _do("posix_spawn_file_actions_addchdir_np", actions, _text(inherited.directory))
    return actions


def _closing_all_but(hand_down: Iterable[int]) -> list[tuple[str, int] | tuple[str, int, int]]:
    """How all descriptors above 2 but these are closed, however many there are, and however far apart.

    They are put side by side, what is above is closed, and they are put back; in this order none is overwritten that is
    still to be moved. One that is put onto itself will not be closed when the program is executed, see
    posix_spawn_file_actions_adddup2(3).
    """
    kept = sorted(set(hand_down))
    if kept and kept[0] < _FIRST:
        raise ValueError(f"a standard stream cannot be handed down as well: {kept[0]}")
    parked = list(enumerate(kept, _FIRST))
    return [
        *[("adddup2", number, place) for place, number in parked],
        ("addclosefrom_np", _FIRST + len(kept)),
        *[("adddup2", place, number) for place, number in reversed(parked)],
        *[("addclose", place) for place, _ in parked if place not in kept],
    ]


def _above_stdio(descriptor: int, undo: ExitStack) -> int:
    """``descriptor``, or a copy of it when one of the new standard streams would take its place."""
    if descriptor >= _FIRST:
        return descriptor
    copy: int = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST)
    undo.callback(os.close, copy)
    return copy


@functools.cache
def _attributes(new_session: bool, real_ids: bool) -> ctypes.Array[ctypes.c_uint64]:
    attributes, every_signal, no_signal = _Attributes(), _SignalSet(), _SignalSet()
    _quick.sigfillset(every_signal)
    _do("posix_spawnattr_init", attributes)
    _do("posix_spawnattr_setsigdefault", attributes, every_signal)
    _do("posix_spawnattr_setsigmask", attributes, no_signal)
    flags = _SETSIGDEF | _SETSIGMASK | (_RESETIDS if real_ids else 0)
    flags |= _SETSID if new_session else _SETPGROUP  # whoever leads a session leads a group
    _do("posix_spawnattr_setflags", attributes, ctypes.c_short(flags))
    return attributes


def _do(name: str, *arguments: object) -> None:
    _check(getattr(_quick, name)(*arguments), name)  # not [name], which would look it up each time


def _strings(texts: Iterable[str]) -> ctypes.Array[ctypes.c_char_p]:
    encoded = [_text(text) for text in texts]
    return (ctypes.c_char_p * (len(encoded) + 1))(*encoded)  # which ends with NULL, and keeps them


def _text(value: str) -> bytes:
    encoded = os.fsencode(value)
    if b"\0" in encoded:  # C would silently use only what is before it
        raise OSError(errno.EINVAL, "a NUL character is not allowed", value)
    return encoded


def _check(code: int, subject: str) -> None:
    if code != 0:
        raise OSError(code, os.strerror(code), subject)
