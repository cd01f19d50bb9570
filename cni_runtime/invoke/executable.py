"""Plugins that are executables, found by their type in the directories of the call.

Source: CNI specification 1.1.0, sections 2 "Execution Protocol" and 5 "Result Types".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from cni_runtime import names
from cni_runtime.call import PluginCall
from cni_runtime.errors import CniError, ErrorCode, PluginError
from cni_runtime.invoke import process
from cni_runtime.invoke.answer import interpret, start_failure
from cni_runtime.invoke.env import plugin_environment
from cni_runtime.invoke.process import Limits


class ExecutableInvoker:
    """An Invoker that runs programs.

    A plugin that takes longer than ``timeout`` seconds is killed with its process group; so is one whose caller is
    cancelled.
    """

    def __init__(self, *, timeout: float = 90.0) -> None:
        self._limits = Limits(timeout=timeout)

    async def invoke(self, call: PluginCall) -> Mapping[str, Any] | None:
        """See Invoker. The plugin sees the well-known variables of this process's environment."""
        program = find_executable(call)
        try:
            env = plugin_environment(call, os.environ)
            stdin = msgspec.json.encode(call.config)
        except CniError as exc:
            raise _unable(call, exc) from exc
        try:
            ended = await process.run(program, stdin=stdin, env=env, limits=self._limits)
        except OSError as exc:
            raise start_failure(call, program, exc) from exc
        return interpret(call, ended, self._limits)


def find_executable(call: PluginCall) -> Path:
    """The first file named like the plugin's type in ``call.path``; raises PluginError.

    Whether it can be executed is for the kernel to say when it is started.
    """
    try:
        names.plugin_type(call.type)
    except CniError as exc:
        raise _unable(call, exc) from exc
    for directory in call.path:
        program = directory / call.type
        if program.exists() and not program.is_dir():
            return program
    searched = ", ".join(str(directory) for directory in call.path) or "no directory at all"
    raise PluginError(
        f"executable not found, searched: {searched}",
        plugin=call.type,
        verb=call.verb,
        code=ErrorCode.PLUGIN_NOT_AVAILABLE,
        nothing_done=True,
    )


def _unable(call: PluginCall, cause: CniError) -> PluginError:
    """The error for a call that no program can be told."""
    return PluginError(cause.message, plugin=call.type, verb=call.verb, code=cause.code, nothing_done=True)
