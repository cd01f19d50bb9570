"""The verbs of flannel: each is the same verb of the other plugin. Its configuration is saved from ADD to DEL."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from msgspec import structs

from cni_runtime import faults, files
from cni_runtime.call import PluginCall, Verb
from cni_runtime.errors import CniError
from cni_runtime.net.sockets import run_in_own_thread
from cni_runtime.plugins.base import (
    Context,
    DataDir,
    Plugin,
    decode_some,
    network_of,
    nothing_done_yet,
    valid_attachments,
)
from cni_runtime.plugins.delegate import delegate, undoing
from cni_runtime.plugins.flannel.config import (
    FlannelConfig,
    delegate_config,
    flannel_config,
    saved_directory,
    saved_path,
)
from cni_runtime.plugins.flannel.subnet import read_subnet
from cni_runtime.plugins.veth import finish_detaching
from cni_runtime.result import Result, decode_result
from cni_runtime.versions import version_of

log = logging.getLogger(__name__)

_PASSED_ON = ("prevResult", "cni.dev/valid-attachments", "cni.dev/attachments")

Config = dict[str, Any]


class Flannel(Plugin):
    """See the package."""

    type: ClassVar[str] = "flannel"

    async def add(self, call: PluginCall, context: Context) -> Result:
        with nothing_done_yet():
            config = flannel_config(call, context)
            path = saved_path(call, config.data_dir, context)
            wanted = await run_in_own_thread(partial(_wanted, call, config))
        faults.reach("flannel.ADD.save")
        former = await run_in_own_thread(partial(_save, path, wanted))
        try:
            faults.reach("flannel.ADD.delegate")
            answer = await delegate(call, context, wanted["type"], wanted)
        except BaseException as exc:
            await _undo(call, context, path, wanted, former, exc)
            raise
        return decode_result(answer or {}, assume=version_of(call.config))

    async def delete(self, call: PluginCall, context: Context) -> None:
        path = saved_path(call, decode_some(call, DataDir).data_dir, context)
        saved = await run_in_own_thread(partial(_load_or_make, call, context, path))
        if saved is not None:
            await _pass_on(call, context, saved)
        else:
            await finish_detaching(call, context)
        faults.reach("flannel.DEL.forget")
        await run_in_own_thread(partial(files.remove, path))

    async def check(self, call: PluginCall, context: Context) -> None:
        path = saved_path(call, flannel_config(call, context).data_dir, context)
        saved = await run_in_own_thread(partial(_load_or_make, call, context, path))
        if saved is None:
            raise CniError(f"there is no saved configuration {path}")
        await _pass_on(call, context, saved)

    async def gc(self, call: PluginCall, context: Context) -> None:
        valid = frozenset(container for container, _ in valid_attachments(call))
        directory = saved_directory(decode_some(call, DataDir).data_dir, context)
        saved = await run_in_own_thread(partial(_saved_of, network_of(call), directory))
        try:
            config = flannel_config(call, context)
            wanted: Config | None = await run_in_own_thread(partial(_wanted, call, config))
        except CniError:  # flanneld has not come up yet, or an option has become invalid, but pods had been there
            wanted = next(iter(saved.values()), None)
        if wanted is not None:
            await _pass_on(call, context, wanted)
        faults.reach("flannel.GC.forget")
        for path in saved:
            if path.name not in valid:
                await run_in_own_thread(partial(files.remove, path))

    async def status(self, call: PluginCall, context: Context) -> None:
        config = flannel_config(call, context)
        await _pass_on(call, context, await run_in_own_thread(partial(_wanted, call, config)))


async def _pass_on(call: PluginCall, context: Context, config: Config) -> None:
    extra = {key: call.config[key] for key in _PASSED_ON if key in call.config}
    await delegate(call, context, str(config.get("type", "")), {**config, **extra})


async def _undo(
    call: PluginCall, context: Context, path: Path, config: Config, former: bytes | None, cause: BaseException
) -> None:
    """Take back an ADD that failed. What cannot be taken back keeps its file, for DEL.

    If nothing was done, what was there before is there still, and its DEL needs the ``former`` content.
    """
    release = structs.replace(call, verb=Verb.DEL)
    nothing_done = isinstance(cause, CniError) and cause.nothing_done
    with undoing():
        try:
            if not nothing_done:
                await delegate(release, context, config["type"], config)
        except CniError as exc:
            cause.add_note(f"undoing the ADD of {config['type']} failed: {exc}")
            return
        if nothing_done and former is not None:
            await run_in_own_thread(partial(files.replace, path, former))
        else:
            await run_in_own_thread(partial(files.remove, path))


def _wanted(call: PluginCall, config: FlannelConfig) -> Config:
    return delegate_config(call, config, read_subnet(Path(config.subnet_file)))


def _save(path: Path, config: Config) -> bytes | None:
    """Save ``config``; what was there before."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    former = path.read_bytes() if path.exists() else None
    files.replace(path, msgspec.json.encode(config, order="sorted"))
    return former


def _load_or_make(call: PluginCall, context: Context, path: Path) -> Config | None:
    """The saved configuration, or one as ADD would make it now if the file was damaged. None: there is no file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as exc:
        log.warning("%s is damaged: %s", path, exc)
        return _wanted(call, flannel_config(call, context))


def _saved_of(network: str, directory: Path) -> dict[Path, Config]:
    """The saved configurations of one network."""
    return {path: config for path, config in _all_saved(directory) if config.get("name") == network}


def _all_saved(directory: Path) -> Iterator[tuple[Path, Config]]:
    for path in sorted(directory.glob("[!.]*")):
        try:
            yield path, msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except (msgspec.DecodeError, OSError):
            continue
