"""AppArmor profiles: which ones the kernel has, and loading one with AppArmor's own parser."""

from __future__ import annotations

import os
from pathlib import Path

from cni_runtime import files
from crishim.core.errors import UnavailableError
from crishim.drivers import threads
from crishim.drivers.process.command import run
from crishim.drivers.process.programs import find_program, program_path
from crishim.drivers.syscalls import system_call

ABI = "abi/3.0"
"""The newest description of kernels that profiles of ours are written for."""

PARSER = "apparmor_parser"
LOAD_SECONDS = 10.0  # it takes some hundredths of a second
_PARSER_FILES = Path("/etc/apparmor.d")


def loaded_profiles(sys: Path = Path("/sys")) -> frozenset[str]:
    """The names in ``NAME (MODE)`` lines; a name may hold blanks. Empty when they cannot be read. Blocks."""
    try:
        text = os.fsdecode((sys / "kernel/security/apparmor/profiles").read_bytes())
    except OSError:
        return frozenset()
    return frozenset(line.rpartition(" (")[0] for line in text.splitlines())


async def known_abi(parser_files: Path = _PARSER_FILES) -> str:
    """ABI if the parser that is installed knows it, else nothing: older ones do not even know the keyword."""
    return ABI if await threads.run((parser_files / ABI).is_file) else ""


async def written_profile(file: Path) -> str | None:
    """What ``load_profile`` has loaded from ``file``, None if nothing. The file goes with a reboot, as profiles do."""
    try:
        return await threads.run(file.read_text)
    except OSError:
        return None


async def load_profile(text: str, file: Path, *, parser: str = PARSER, seconds: float = LOAD_SECONDS) -> None:
    """Write a profile to ``file``, and have ``parser`` give it to the kernel, in the place of one of the same name.

    Raises UnavailableError, SystemCallError, and DeadlineError when the parser takes longer than ``seconds``; there is
    no file then.
    """
    program = await threads.run(find_program, parser)
    with system_call("write", str(file)):
        await threads.run(files.replace, file, text.encode(), 0o644)
    env = {"PATH": program_path()}
    try:
        ended = await run((str(program), "-Kr", str(file)), env=env, seconds=seconds)
        if ended.status != 0:
            reason = " ".join(ended.stderr.decode(errors="replace").split())
            raise UnavailableError(f"{program} ended with {ended.status}: {reason}")
    except BaseException:
        await threads.run(files.remove, file)
        raise
