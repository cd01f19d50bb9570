"""Run a program to its end, with limits on time and output, and leave nothing of it behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import anyio
from msgspec import Struct

from crishim.core.errors import DeadlineError
from crishim.drivers.process.child import Child
from crishim.drivers.process.spawn import Program
from crishim.drivers.process.stream import OutputFile

OUTPUT_LIMIT = 1 << 20  # bytes of each stream; an OCI runtime writes some thousands


class Ended(Struct, frozen=True):
    """How a program ended: ``status`` is its exit code, or the number of a signal below zero."""

    status: int
    stdout: bytes
    stderr: bytes


async def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    seconds: float,
    directory: Path = Path("/"),
    executable: Path | None = None,
) -> Ended:
    """Run a program without input and return how it ended; ``executable`` as for ``Program``.

    Raises SystemCallError when it cannot be started, DeadlineError when it takes longer than ``seconds``. Then, and
    when the caller is cancelled, it is killed with its process group and reaped before this returns.
    """
    with closing(OutputFile(OUTPUT_LIMIT)) as stdout, closing(OutputFile(OUTPUT_LIMIT)) as stderr:
        child = await Child.start(
            Program(
                argv=tuple(argv),
                executable=executable,
                env=env,
                directory=directory,
                stdout=stdout.writing,
                stderr=stderr.writing,
            )
        )
        try:
            with anyio.move_on_after(seconds):
                status = await child.wait()
                return Ended(status, stdout.content(), stderr.content())
        finally:
            if child.status is None:
                await child.end()
    raise DeadlineError(f"{' '.join(argv)} did not end within {seconds:g} s and was killed")
