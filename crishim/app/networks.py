"""Builds the CNI runtime and the watchers of its configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack

from cni_runtime.conf.types import NetworkList
from cni_runtime.conf.watch import ConfDirWatcher, Snapshot
from cni_runtime.invoke.choose import ChoosingInvoker, Mode
from cni_runtime.invoke.executable import ExecutableInvoker
from cni_runtime.net.keeping import keep_tables
from cni_runtime.runtime import CniRuntime
from crishim.core.config import Config
from crishim.core.tasks import TaskOwner
from crishim.drivers import threads


async def open_networks(
    config: Config, owner: TaskOwner, invoker: ChoosingInvoker
) -> tuple[dict[str, ConfDirWatcher], CniRuntime]:
    """The watchers, see ``_watch``, and the CNI runtime.

    What built-in plugins have in nftables is made again when another program flushes it.
    """
    watchers = await _watch(config, owner, invoker)
    owner.spawn("cni.rules", keep_tables())
    return watchers, CniRuntime(invoker, path=config.cni.bin_dirs)


def open_invoker(config: Config, undo: AsyncExitStack) -> ChoosingInvoker:
    """Runs plugins built in or as executables, as the configuration says."""
    cni = config.cni
    exceptions = {kind: Mode(source) for kind, source in cni.exceptions.items()}
    executable = ExecutableInvoker(timeout=cni.plugin_timeout)
    invoker = ChoosingInvoker(executable, mode=Mode(cni.plugins), types=exceptions)
    undo.push_async_callback(invoker.aclose)
    return invoker


async def _watch(config: Config, owner: TaskOwner, invoker: ChoosingInvoker) -> dict[str, ConfDirWatcher]:
    """A watcher for the default configuration directory, under "", and one for each handler that has its own."""
    directories = {"": (config.cni.conf_dir, config.cni.max_conf_num)}
    for name, handler in config.runtimes.items():
        if handler.cni_conf_dir:
            directories[name] = handler.cni_conf_dir, handler.cni_max_conf_num or config.cni.max_conf_num

    def prepare(snapshot: Snapshot) -> None:
        types = {kind for network in snapshot.networks for kind in _plugin_types(network)}
        owner.spawn("cni.prepare", threads.run(invoker.prepare, types))

    watchers = {name: ConfDirWatcher(*where, on_change=prepare) for name, where in directories.items()}
    for name, watcher in watchers.items():
        await watcher.reload()
        owner.spawn(f"cni.watch {name or 'default'}", watcher.run(), critical=True)
    return watchers


def _plugin_types(network: NetworkList) -> Iterator[str]:
    """The types of plugins that a sandbox of a network will probably need."""
    yield "loopback"
    for plugin in network.plugins:
        yield plugin.type
        for nested in (plugin.raw.get("ipam"), plugin.raw.get("delegate")):
            if isinstance(nested, Mapping) and "type" in nested:
                yield str(nested["type"])
