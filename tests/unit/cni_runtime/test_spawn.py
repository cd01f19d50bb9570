"""Real programs: what they get of this process, and what this process does meanwhile."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cni_runtime.spawn import Inherited, _closing_all_but, posix_spawn

PATH = {"PATH": "/usr/bin:/bin"}


def sh(script: str, **inherited: object) -> tuple[int, str]:
    """The status of a shell, and what it wrote."""
    with ExitStack() as undo:
        reading, writing = os.pipe()
        undo.callback(os.close, reading)
        env = {**PATH, "FOO": "bar"}
        settings = Inherited(**{"stdio": (None, writing, None), **inherited})  # type: ignore[arg-type]
        pid = posix_spawn("/bin/sh", ("sh", "-c", script), env, settings)
        os.close(writing)
        said = b"".join(iter(lambda: os.read(reading, 1 << 16), b""))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode()


def inherited(**settings: object) -> dict[int, str]:
    """The descriptors that a shell has, and what they are."""
    lines = (line.split() for line in sh("ls -l /proc/$$/fd; exit 0", **settings)[1].splitlines())
    return {int(words[-3]): words[-1] for words in lines if "->" in words}


def descriptors() -> list[str]:
    return sorted(entry.name for entry in Path("/proc/self/fd").iterdir())


@pytest.fixture
def several() -> Iterator[list[int]]:
    """Descriptors of this process, one of which every program would get that is not kept from it."""
    with ExitStack() as undo:
        opened = [os.open("/", os.O_PATH) for _ in range(20)]
        for each in opened:
            undo.callback(os.close, each)
        os.set_inheritable(opened[7], True)
        yield opened


def test_directory_environment_and_status_are_as_wanted(tmp_path: Path) -> None:
    assert sh('echo "$PWD $FOO"; exit 3', directory=str(tmp_path)) == (3, f"{tmp_path} bar\n")


def test_without_a_stream_there_is_dev_null(several: list[int]) -> None:
    listed = inherited()
    assert (set(listed), listed[0], listed[2]) == ({0, 1, 2}, "/dev/null", "/dev/null")


@pytest.mark.parametrize("chosen", [[0], [19], [0, 1, 2], [3, 11, 7], list(range(20))])
def test_exactly_what_is_handed_down_is_inherited(several: list[int], chosen: list[int]) -> None:
    handed_down = tuple(several[index] for index in chosen)
    listed = inherited(hand_down=handed_down)
    assert listed.keys() == {0, 1, 2, *handed_down}
    assert {listed[each] for each in handed_down} == {"/"}


def test_descriptors_are_neither_lost_nor_mixed_up_on_their_way() -> None:
    for _ in range(200):
        kept = random.sample(range(3, 30), random.randrange(10))
        table = {number: number for number in range(40)}
        for name, source, *target in _closing_all_but(kept):
            if name == "addclosefrom_np":
                table = {number: file for number, file in table.items() if number < source}
            elif name == "addclose":
                del table[source]
            else:
                table[target[0]] = table[source]
        assert table == {number: number for number in (0, 1, 2, *kept)}


def test_a_standard_stream_is_not_handed_down() -> None:
    with pytest.raises(ValueError, match="handed down as well: 2"):
        sh("exit 0", hand_down=(2,))


def test_standard_streams_may_change_places() -> None:
    before = descriptors()
    assert sh("exit 0", stdio=(2, 0, 1))[0] == 0
    assert descriptors() == before


@pytest.mark.parametrize("number", [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGUSR1, signal.SIGTERM])
def test_no_signal_is_ignored_or_blocked(number: signal.Signals) -> None:
    before, mask = signal.signal(number, signal.SIG_IGN), signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        assert sh(f"kill -{number} $$; exit 1")[0] == -number
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(number, before)


@pytest.mark.parametrize("new_session", [False, True])
def test_a_program_leads_its_own_group_and_a_session_when_wanted(new_session: bool) -> None:
    said = sh('read -r line </proc/$$/stat; echo "$$ ${line##*) }"', new_session=new_session)[1].split()
    pid, group, session = said[0], said[3], said[4]
    assert (group, session) == (pid, pid if new_session else str(os.getsid(0)))


@pytest.mark.parametrize(
    ("path", "directory", "error"),
    [
        ("/nowhere", "/", FileNotFoundError),
        ("/bin/sh", "/nowhere", FileNotFoundError),
        ("/bin/sh", "/bin/sh", NotADirectoryError),
        ("/etc/passwd", "/", PermissionError),
    ],
)
def test_what_can_not_be_started_is_an_error_and_leaves_nothing(
    path: str, directory: str, error: type[OSError]
) -> None:
    before = descriptors()
    with pytest.raises(error):
        posix_spawn(path, ("x",), PATH, Inherited(directory=directory))
    assert descriptors() == before


@pytest.mark.parametrize(
    ("path", "argument", "value"), [("/bin\0", "", ""), ("/bin/sh", "\0", ""), ("/bin/sh", "", "\0")]
)
def test_a_nul_is_refused(path: str, argument: str, value: str) -> None:
    with pytest.raises(OSError, match="NUL character"):
        posix_spawn(path, (argument,), {"A": value}, Inherited())


def test_this_process_goes_on_while_a_program_is_being_started(tmp_path: Path) -> None:
    """A lease on the program's file holds up whoever is about to execute it, see fcntl(2), F_SETLEASE."""
    program = str(shutil.copy("/bin/true", tmp_path))
    with Path(program).open("rb") as leased:
        fcntl.fcntl(leased, fcntl.F_SETSIG, signal.SIGURG)  # for SIGIO, which would end this process
        fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        pids: list[int] = []
        starting = threading.Thread(target=lambda: pids.append(posix_spawn(program, ("true",), PATH, Inherited())))
        starting.start()
        while fcntl.fcntl(leased, fcntl.F_GETLEASE) == fcntl.F_WRLCK:
            pass
        assert starting.is_alive()
    starting.join()
    assert os.waitpid(pids[0], 0)[1] == 0
