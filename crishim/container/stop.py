"""StopContainer: the stop signal, a grace period, then SIGKILL to all of it."""

from __future__ import annotations

import signal

from crishim.container.ports import OciRuntime
from crishim.container.watch import Watch
from crishim.core.errors import DeadlineError
from crishim.model.container import Container, State

# How long the kernel may take to end a container after SIGKILL before we say that it does not.
KILL_SECONDS = 20.0


async def stop(
    watch: Watch, runtime: OciRuntime, container: Container, grace: float, kill_seconds: float = KILL_SECONDS
) -> None:
    """Bring ``container`` to its end: its own signal, ``grace`` seconds, then SIGKILL. Ended already is fine.

    One that could not be started counts as ended, but may still have to be. Raises DeadlineError when it is not gone,
    or that is not recorded, ``kill_seconds`` after SIGKILL.
    """
    if container.state not in (State.CREATED, State.RUNNING) and not watch.lives(container.id):
        return
    if grace > 0 and container.state is State.RUNNING:
        await watch.ask(container, signal_number(container.stop_signal))
        if await watch.end(container.id, grace):
            return
    await runtime.kill_all(container)
    if not await watch.end(container.id, kill_seconds):
        what = "goes on" if watch.lives(container.id) else "has ended, but not all of it is gone or recorded"
        raise DeadlineError(f"container {container.id} {what} {kill_seconds:g} s after SIGKILL")


def signal_number(name: str) -> int:
    """The number of a signal by its name, ``SIGTERM`` or ``SIGRTMIN+3``."""
    base, plus, offset = name.partition("+")
    if not plus:
        base, _, offset = name.partition("-")
        offset = f"-{offset}" if offset else "0"
    return int(signal.Signals[base]) + int(offset or 0)
