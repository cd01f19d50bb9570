"""The system calls that Python 3.11 lacks. With ``credentials`` it is all of crishim that uses ctypes.

A function here raises OSError with the errno and the object of the call. The drivers turn it into a
SystemCallError at their edge with ``system_call``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from crishim.core.errors import SystemCallError

# <linux/sched.h>
CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# <linux/mount.h>
MS_RDONLY = 1
MS_NOSUID = 1 << 1
MS_NODEV = 1 << 2
MS_NOEXEC = 1 << 3
MS_REMOUNT = 1 << 5
MS_BIND = 1 << 12
MS_REC = 1 << 14
MS_PRIVATE = 1 << 18
MS_SHARED = 1 << 20

# umount2(2)
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

# openat2(2): <linux/openat2.h>, and its number, which is the same on every architecture
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_IN_ROOT = 0x10
_SYS_OPENAT2 = 437

# open_tree(2), move_mount(2), mount_setattr(2): <linux/mount.h>, and their numbers, which are the same everywhere
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_IDMAP = 0x00100000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_SYS_OPEN_TREE, _SYS_MOVE_MOUNT, _SYS_MOUNT_SETATTR = 428, 429, 442

# getdents64(2): the inode, where the next one is, the length of this one, its type; then the name and NUL
_DIRENT = struct.Struct("=QqHB")
_DIRENTS = 8192  # bytes of names at a time

_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>

# The functions of a CDLL (not a PyDLL) run without the GIL, so a slow call stops no other thread.
_libc = ctypes.CDLL(None, use_errno=True)


def _bind(name: str, *argtypes: Any) -> Callable[..., int]:
    function = getattr(_libc, name)
    function.argtypes, function.restype = argtypes, ctypes.c_int
    return function  # type: ignore[no-any-return]


_unshare = _bind("unshare", ctypes.c_int)
_setns = _bind("setns", ctypes.c_int, ctypes.c_int)
_mount = _bind("mount", ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_umount2 = _bind("umount2", ctypes.c_char_p, ctypes.c_int)
_pivot_root = _bind("pivot_root", ctypes.c_char_p, ctypes.c_char_p)
_sethostname = _bind("sethostname", ctypes.c_char_p, ctypes.c_size_t)
_syncfs = _bind("syncfs", ctypes.c_int)
_getdents64 = _bind("getdents64", ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t)
_madvise = _bind("madvise", ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

_libc.syscall.restype = ctypes.c_long

# With the GIL: for calls that take less time than to give it up and to wait for it again.
quick = ctypes.PyDLL(None, use_errno=True)
quick.syscall.restype = ctypes.c_long
quick.prctl.argtypes = (ctypes.c_int, *(4 * (ctypes.c_ulong,)))

_MADV_DONTNEED = 4
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD, _M_ARENA_MAX = -3, -1, -8  # mallopt(3)


def keep_memory_small() -> None:
    """Let threads share their memory, and give back what is free; see mallopt(3), which only GNU's C library has."""
    if hasattr(_libc, "mallopt"):
        for option, value in ((_M_ARENA_MAX, 2), (_M_TRIM_THRESHOLD, 128 << 10), (_M_MMAP_THRESHOLD, 128 << 10)):
            _libc.mallopt(option, value)


def trim_memory() -> None:
    """Give what is free back to the kernel; see malloc_trim(3)."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


def dont_need(address: int, length: int) -> None:
    """Take mapped memory (bytes) out of this process until it is touched again; see MADV_DONTNEED in madvise(2)."""
    check(_madvise(address, length, _MADV_DONTNEED))


@contextmanager
def system_call(call: str, subject: str) -> Iterator[None]:
    """Turn an OSError from inside into a SystemCallError that names ``call``, its object and the errno."""
    try:
        yield
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, str(error.errno))
        raise SystemCallError(f"{call} {subject}: {name} ({error.strerror})") from error


@contextmanager
def opened(path: str) -> Iterator[int]:
    """A file descriptor of ``path``, to read. Raises SystemCallError."""
    with system_call("open", path):
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def step(directory: int, name: str | bytes, flags: int) -> int:
    """Open ``name`` in the open ``directory``, then close that: a path may be deeper than files may be open.

    Raises OSError; ``directory`` is open then.
    """
    reached = os.open(name, flags, dir_fd=directory)
    os.close(directory)
    return reached


def unshare(flags: int) -> None:
    """Give the calling thread new namespaces; ``flags`` are ``CLONE_NEW*``. See unshare(2)."""
    check(_unshare(flags))


def setns(fd: int, kind: int) -> None:
    """Move the calling thread into the namespace ``fd`` refers to; ``kind`` is a ``CLONE_NEW*``. See setns(2)."""
    check(_setns(fd, kind))


def enter(path: str, kind: int) -> None:
    """As ``setns``, for the namespace pinned at ``path``. Raises SystemCallError."""
    with opened(path) as file, system_call("enter namespace", path):
        setns(file, kind)


def mount(source: str, target: str, filesystem: str, flags: int, data: str = "") -> None:
    """Mount, bind, or change the propagation of ``target``. See mount(2)."""
    check(_mount(_text(source), _text(target), _text(filesystem), flags, _text(data)), target)


def umount2(target: str, flags: int) -> None:
    """Unmount the topmost mount at ``target``. See umount2(2)."""
    check(_umount2(_text(target), flags), target)


def pivot_root(new_root: str, put_old: str) -> None:
    """Make ``new_root`` the root of this mount namespace, and put the present one at ``put_old``. See pivot_root(2)."""
    check(_pivot_root(_text(new_root), _text(put_old)), new_root)


def clone_mount(path: str) -> int:
    """A copy of what is mounted at ``path``, seen from there, that is mounted nowhere yet. See open_tree(2)."""
    flags = ctypes.c_uint(_OPEN_TREE_CLONE | os.O_CLOEXEC)
    return check(int(_libc.syscall(ctypes.c_long(_SYS_OPEN_TREE), ctypes.c_int(_AT_FDCWD), _text(path), flags)), path)


def attach_mount(fd: int, target: str) -> None:
    """Mount what ``clone_mount`` returned at ``target``. See move_mount(2)."""
    flags, number = ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH), ctypes.c_long(_SYS_MOVE_MOUNT)
    check(int(_libc.syscall(number, ctypes.c_int(fd), b"", ctypes.c_int(_AT_FDCWD), _text(target), flags)), target)


def set_mount_attributes(fd: int, attributes: int, userns: int) -> None:
    """Give a mount that is mounted nowhere yet ``MOUNT_ATTR_*``; ``userns`` is the one whose ids it is to show.

    See mount_setattr(2).
    """
    settings = (ctypes.c_uint64 * 4)(attributes, 0, 0, userns)
    number, size = ctypes.c_long(_SYS_MOUNT_SETATTR), ctypes.c_size_t(ctypes.sizeof(settings))
    flags = ctypes.c_uint(_AT_EMPTY_PATH)
    check(int(_libc.syscall(number, ctypes.c_int(fd), b"", flags, ctypes.byref(settings), size)))


def sethostname(name: str) -> None:
    """Set the host name of the calling thread's UTS namespace. See sethostname(2)."""
    encoded = _text(name)
    check(_sethostname(encoded, len(encoded)), name)


def syncfs(fd: int) -> None:
    """Write everything of the file system that ``fd`` is on to the disk. See syncfs(2)."""
    check(_syncfs(fd))


def become_subreaper() -> None:
    """Make orphaned descendants of this process its children. See PR_SET_CHILD_SUBREAPER in prctl(2)."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def prctl(option: int, *arguments: int) -> int:
    """Ask for or change something of the calling process or thread; further arguments are 0. See prctl(2)."""
    return check(quick.prctl(option, *(*arguments, 0, 0, 0, 0)[:4]))


def open_in_root(root: int, path: str, flags: int) -> int:
    """Open ``path`` as if the directory ``root`` were ``/``: no link and no .. leads out of it. See openat2(2)."""
    return open_resolved(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)


def open_resolved(directory: int, path: str | bytes, flags: int, resolve: int) -> int:
    """Open ``path`` in the open ``directory`` with ``RESOLVE_*``. See openat2(2)."""
    how = (ctypes.c_uint64 * 3)(flags | os.O_CLOEXEC, 0, resolve)
    number, size = ctypes.c_long(_SYS_OPENAT2), ctypes.c_size_t(ctypes.sizeof(how))
    return check(int(_libc.syscall(number, ctypes.c_int(directory), _text(path), ctypes.byref(how), size)), path)


def names_in(directory: int) -> Iterator[tuple[bytes, int]]:
    """The names in the open ``directory`` from where it stands, each with what lseek(2) takes to go on behind it.

    Unlike those of ``os.scandir`` they can be left for a while without keeping the directory open. See getdents(2).
    """
    buffer = ctypes.create_string_buffer(_DIRENTS)
    while length := check(_getdents64(directory, buffer, _DIRENTS)):
        read, at = buffer.raw, 0
        while at < length:
            _, position, size, _ = _DIRENT.unpack_from(read, at)
            name = read[at + _DIRENT.size : read.index(0, at + _DIRENT.size)]
            at += size
            if name not in (b".", b".."):
                yield name, position


def open_process(pid: int) -> int:
    """A pidfd for ``pid``, to be closed by the caller; refuses what would mean init or a whole group of processes.

    Raises ProcessLookupError when no process has the id, or only a thread.
    """
    if pid <= 1:
        raise OSError(errno.EINVAL, "not the id of a process that may be signalled", str(pid))
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        # Before Linux 6.9 that is what is said of a thread, and of a process that is being reaped just then.
        if error.errno == errno.EINVAL:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), str(pid)) from error
        raise


def _text(value: str | bytes) -> bytes:
    encoded = os.fsencode(value)
    if b"\0" in encoded:  # C would silently use only what is before it
        raise OSError(errno.EINVAL, "a NUL character is not allowed", value)
    return encoded


def check(result: int, subject: str | bytes | None = None) -> int:
    """What a function of the C library has returned; raises OSError with errno for -1."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), subject)
    return result
