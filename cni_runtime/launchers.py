"""Launchers: small executables by which other container runtimes run the built-in plugins.

A launcher names this interpreter, and the directories in which this process has found the packages that plugins need.
Python runs isolated and without ``site`` (-IS), which saves 5 ms and keeps PYTHONPATH out.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

from cni_runtime import files
from cni_runtime.errors import CniError, ErrorCode
from cni_runtime.plugins.registry import TYPES

MARK = "# A CNI plugin of cni-runtime. `cni-runtime install-plugins` made this file, and may replace or delete it."
_NEEDED = ("cni_runtime", "anyio", "idna", "msgspec", "pyroute2", "typing_extensions")
_LONGEST_LINE = 127  # of a #! line on any kernel
_TEXT = """\
{first}
{mark}
import gc
import sys

gc.disable()  # the process ends before there is anything to collect
sys.path += {path}
try:
    from cni_runtime.standalone import main
except ImportError as exc:
    import json

    message = "cni-runtime is not where it was: run cni-runtime install-plugins again"
    print(json.dumps({{"cniVersion": "1.1.0", "code": 999, "msg": message, "details": str(exc)}}))
    sys.exit(1)
main({plugin!r})
"""


class ForeignFileError(CniError):
    """A file that is not ours has the name of a plugin."""


def launcher(plugin: str, python: str, path: Sequence[str]) -> str:
    """The program that runs ``plugin`` by ``python``; ``path`` comes after the standard library. Pure."""
    first = f"#!{python} -IS"
    if len(first) > _LONGEST_LINE or any(char.isspace() for char in python):
        # The kernel takes no such line; these lines are a command to sh and a string to Python.
        first = f"#!/bin/sh\n'''exec' {shlex.quote(python)} -IS \"$0\" \"$@\"\n' '''"
    return _TEXT.format(first=first, mark=MARK, path=list(path), plugin=plugin)


def search_path() -> tuple[str, ...]:
    """The directories in which this process finds the packages that plugins need."""
    specs = (spec for name in _NEEDED if (spec := find_spec(name)) and spec.origin)
    return tuple(dict.fromkeys(str(_directory(spec)) for spec in specs))


def install(directory: Path, *, force: bool = False) -> tuple[Path, ...]:
    """Put a launcher for each built-in plugin into ``directory``; the paths that were written.

    What is as it should be is not written again. Raises ForeignFileError, before anything is written, when another
    program's file is in the way; with ``force`` it is replaced. Raises OSError.
    """
    path = search_path()
    wanted = {directory / plugin: launcher(plugin, sys.executable, path).encode() for plugin in sorted(TYPES)}
    foreign = [place for place in wanted if _exists(place) and not is_ours(place)]
    if foreign and not force:
        message = f"{', '.join(map(str, foreign))}: not made by cni-runtime; --force replaces such files"
        raise ForeignFileError(message, code=ErrorCode.IO_FAILURE)
    directory.mkdir(parents=True, exist_ok=True)
    changed = {place: data for place, data in wanted.items() if place in foreign or not _is(place, data)}
    for place, data in changed.items():
        files.replace(place, data, mode=0o755)
    return tuple(changed)


def uninstall(directory: Path) -> tuple[Path, ...]:
    """Delete the launchers in ``directory``, and nothing else; their paths. Raises OSError."""
    ours = tuple(place for place in (directory / plugin for plugin in sorted(TYPES)) if is_ours(place))
    for place in ours:
        place.unlink()
    return ours


def is_ours(place: Path) -> bool:
    """Whether the file is a launcher. A symbolic link is not: where it leads may be used by others."""
    if place.is_symlink() or not place.is_file():
        return False
    with place.open("rb") as file:
        return MARK.encode() in file.read(4096)


def _directory(spec: ModuleSpec) -> Path:
    place = Path(spec.origin or "").parent
    return place if spec.submodule_search_locations is None else place.parent


def _exists(place: Path) -> bool:
    return place.is_symlink() or place.exists()


def _is(place: Path, data: bytes) -> bool:
    return place.is_file() and place.read_bytes() == data and place.stat().st_mode & 0o777 == 0o755
