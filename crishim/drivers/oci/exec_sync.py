"""Running a command in a container to its end, with limits on time and output."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import anyio

from crishim.core.errors import DeadlineError
from crishim.drivers.oci.exec import Exec, Execs, Streams
from crishim.drivers.oci.program import OciProgram
from crishim.drivers.process.stream import Collector
from crishim.model.process import ExecResult

OUTPUT_LIMIT = 16 * 1024 * 1024  # bytes of each stream; what is beyond is dropped, as in other runtimes


async def exec_sync(
    execs: Execs,
    program: OciProgram,
    container_id: str,
    process: Mapping[str, Any],
    *,
    seconds: float | None,
    drain_seconds: float | None,
) -> ExecResult:
    """Run ``process``; ``drain_seconds`` limits the wait for output that it has left to others to write.

    Raises DeadlineError when either time has passed, RuntimeFailedError when it cannot be started; then all that it
    started is killed. What a command leaves behind that ended in time, and that holds no output, goes on.
    """
    result: ExecResult | None = None
    with closing(execs.prepare(container_id, process)) as command:
        try:
            with anyio.move_on_after(seconds):
                result = await _run(command, program, drain_seconds)
        finally:
            if result is None:
                await command.kill()
    if result is None:
        raise DeadlineError(f"command in container {container_id} did not end within {seconds:g} s and was killed")
    return result


async def _run(command: Exec, program: OciProgram, drain_seconds: float | None) -> ExecResult:
    with closing(Collector(OUTPUT_LIMIT)) as stdout, closing(Collector(OUTPUT_LIMIT)) as stderr:
        child = await command.start(program, Streams(stdout=stdout.writing, stderr=stderr.writing))
        stdout.begin()
        stderr.begin()
        status = await child.wait()
        with anyio.move_on_after(drain_seconds):
            return ExecResult(await stdout.end(), await stderr.end(), exit_code(status))
    raise DeadlineError(
        f"command in container {command.container_id} has ended, but processes that it started still held its output"
        f" {drain_seconds:g} s later and were killed"
    )


def exit_code(status: int) -> int:
    """The exit code that CRI knows: 128 and the signal's number for a process that died of one."""
    return status if status >= 0 else 128 - status
