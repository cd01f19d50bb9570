"""Plugins of an earlier run are found by what is in their environment, and ended."""

import os
import signal
import subprocess
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cni_runtime.invoke.leftover import end_leftovers

pytestmark = pytest.mark.anyio

_LOST = f"lost-{os.getpid()}"
_Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[_Start]:
    """Starts a shell that has started a child; both are ended with the test."""
    started = []

    def start(**env: str) -> subprocess.Popen[str]:
        argv = ["sh", "-c", "sleep 60 & echo $!; wait"]
        shell = subprocess.Popen(
            argv, env={"PATH": "/bin", **env}, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(shell)
        return shell

    yield start
    for shell in started:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
        shell.communicate()


def _child(shell: "subprocess.Popen[str]") -> int:
    assert shell.stdout
    return int(shell.stdout.readline())


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_the_plugin_and_its_children_are_killed(start: _Start) -> None:
    plugin = start(CNI_COMMAND="ADD", CNI_CONTAINERID=_LOST)
    child = _child(plugin)
    assert await end_leftovers({_LOST, "other"}) == 2
    assert not _is_running(plugin.pid)
    assert not _is_running(child)


async def test_no_large_environment_is_read_to_its_end(start: _Start) -> None:
    other = start(**{f"CNI_{number}": "x" * 100_000 for number in range(20)})
    _child(other)
    tracemalloc.start()
    try:
        assert await end_leftovers({_LOST}) == 0
        assert tracemalloc.get_traced_memory()[1] < 1_500_000
    finally:
        tracemalloc.stop()
    assert _is_running(other.pid)


@pytest.mark.parametrize("env", [{"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "live"}, {"CNI_CONTAINERID": _LOST}, {}])
async def test_others_are_left_alone(start: _Start, env: dict[str, str]) -> None:
    plugin = start(**env)
    child = _child(plugin)
    assert await end_leftovers({_LOST}) == 0
    assert plugin.poll() is None
    assert _is_running(child)


async def test_nothing_to_look_for_is_nothing_to_do() -> None:
    assert await end_leftovers(()) == 0
