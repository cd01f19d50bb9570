from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from crishim.core.errors import SystemCallError
from crishim.drivers import syscalls


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: syscalls.unshare(1 << 30 | 1), errno.EINVAL),
        (lambda: syscalls.setns(-1, 0), errno.EBADF),
        (lambda: syscalls.umount2("/nowhere", syscalls.UMOUNT_NOFOLLOW), errno.ENOENT),
        (lambda: syscalls.mount("a\0b", "/nowhere", "", syscalls.MS_BIND), errno.EINVAL),
        (lambda: syscalls.sethostname("a\0b"), errno.EINVAL),
    ],
)
def test_a_refused_call_raises_its_errno(call: Callable[[], None], code: int) -> None:
    # Without privileges the kernel says so before it looks at the arguments.
    with pytest.raises(OSError, match=rf"\[Errno ({code}|{errno.EPERM})\]"):
        call()


@pytest.mark.parametrize("pid", [-1, 0, 1])
def test_a_pid_that_means_more_than_one_process_is_refused(pid: int) -> None:
    with pytest.raises(OSError, match="may be signalled"):
        syscalls.open_process(pid)


def test_a_process_is_signalled_by_its_pidfd() -> None:
    pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
    pidfd = syscalls.open_process(pid)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_an_error_is_translated_at_the_edge(tmp_path: Path) -> None:
    expected = pytest.raises(SystemCallError, match=rf"unlink {tmp_path}/x: ENOENT \(No such file")
    with expected as raised, syscalls.system_call("unlink", f"{tmp_path}/x"):
        (tmp_path / "x").unlink()
    assert isinstance(raised.value.__cause__, FileNotFoundError)
