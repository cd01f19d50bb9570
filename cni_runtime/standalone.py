"""A built-in plugin as an executable: one call, told by the environment and standard input, in a process of its own.

A delegated call (bridge to its IPAM plugin) goes to the built-in plugin of that type if there is one, otherwise to an
executable in CNI_PATH. Source: CNI specification 1.1.0, section 2 "Execution Protocol".
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import anyio
import msgspec

from cni_runtime import names
from cni_runtime.call import PluginCall, Verb
from cni_runtime.errors import CniError, DecodeError, ErrorCode, PluginError, VersionError
from cni_runtime.files import is_own_netns
from cni_runtime.invoke.choose import ChoosingInvoker
from cni_runtime.invoke.executable import ExecutableInvoker
from cni_runtime.versions import CURRENT, IMPLIED, SUPPORTED, at_least, require, version_of

_ATTACHMENT = ("CNI_CONTAINERID", "CNI_IFNAME")
_NEEDED = {Verb.ADD: (*_ATTACHMENT, "CNI_NETNS"), Verb.CHECK: (*_ATTACHMENT, "CNI_NETNS"), Verb.DEL: _ATTACHMENT}
_SINCE = {Verb.CHECK: "0.4.0", Verb.GC: "1.1.0", Verb.STATUS: "1.1.0"}
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})


def main(plugin: str) -> NoReturn:
    """Be the executable ``plugin``: answer on standard output and end the process, with status 1 after an error."""
    status, output = answer(plugin, os.environ, sys.stdin.buffer.read)
    sys.stdout.buffer.write(output)
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: taking the interpreter apart takes milliseconds, and everything of ours is closed.
    os._exit(status)


def answer(plugin: str, environ: Mapping[str, str], read: Callable[[], bytes]) -> tuple[int, bytes]:
    """The exit status of the call and what to print. ``read`` gives standard input."""
    version = CURRENT
    try:
        verb = _verb(environ)
        _require_variables(verb, environ)
        config = _config(verb, read())
        given = config.get("cniVersion")
        version = given if given in SUPPORTED else CURRENT
        if verb is Verb.VERSION:
            reply = {"cniVersion": given or CURRENT, "supportedVersions": SUPPORTED}
            return 0, msgspec.json.encode(reply)
        result = anyio.run(_invoke, plugin_call(plugin, verb, config, environ))
    except CniError as exc:
        return 1, msgspec.json.encode(_error(exc, version))
    except OSError as exc:  # out of the deletion of a veth, after DEL
        return 1, msgspec.json.encode(CniError(str(exc), code=ErrorCode.IO_FAILURE).to_json(version))
    return 0, b"" if result is None else msgspec.json.encode(result)


def plugin_call(plugin: str, verb: Verb, config: Mapping[str, Any], environ: Mapping[str, str]) -> PluginCall:
    """The call that a runtime asks for. Raises CniError."""
    version = require(version_of(config))
    if not at_least(version, _SINCE.get(verb, IMPLIED)):
        raise VersionError(f"cniVersion {version} has no {verb}, which came with {_SINCE[verb]}")
    name = config.get("name")
    names.network_name(name if isinstance(name, str) else "")
    netns = environ.get("CNI_NETNS") or None
    if verb in _NEEDED:
        names.container_id(environ["CNI_CONTAINERID"])
        names.interface_name(environ["CNI_IFNAME"])
        if netns and environ.get("CNI_NETNS_OVERRIDE") not in _TRUE and is_own_netns(netns):
            raise _environment(f"CNI_NETNS {netns} is the namespace of the host; CNI_NETNS_OVERRIDE=1 allows that")
    return PluginCall(
        verb=verb,
        type=plugin,
        config=config,
        container_id=environ.get("CNI_CONTAINERID", ""),
        netns=netns,
        ifname=environ.get("CNI_IFNAME", ""),
        args=names.parse_args(environ.get("CNI_ARGS", "")),
        path=tuple(Path(entry) for entry in environ.get("CNI_PATH", "").split(":") if entry),
    )


async def _invoke(call: PluginCall) -> Mapping[str, Any] | None:
    invoker = ChoosingInvoker(ExecutableInvoker())
    try:
        return await invoker.invoke(call)
    finally:
        # A pair that DEL has cut off is deleted here: there is no later.
        await invoker.aclose()


def _verb(environ: Mapping[str, str]) -> Verb:
    command = environ.get("CNI_COMMAND", "")
    try:
        return Verb(command)
    except ValueError:
        found = f"unknown CNI_COMMAND {command[:80]!r}" if command else "missing CNI_COMMAND"
        raise _environment(f"{found}, expected one of {', '.join(Verb)}") from None


def _require_variables(verb: Verb, environ: Mapping[str, str]) -> None:
    missing = [name for name in _NEEDED.get(verb, ()) if not environ.get(name)]
    if missing:
        raise _environment(f"{verb} needs {', '.join(missing)} in the environment")


def _config(verb: Verb, data: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as exc:
        if verb is Verb.VERSION:  # which asks for nothing else
            return {}
        raise DecodeError("standard input is no network configuration", details=str(exc)) from exc


def _error(exc: CniError, version: str) -> dict[str, Any]:
    body = exc.to_json(version)
    # The caller knows which plugin it has called.
    return {**body, "msg": exc.reason} if isinstance(exc, PluginError) else body


def _environment(message: str) -> CniError:
    return CniError(message, code=ErrorCode.INVALID_ENVIRONMENT)
