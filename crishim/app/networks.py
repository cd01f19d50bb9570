"""Builds the CNI runtime and the watchers of its configuration."""

from __future__ import annotations

from contextlib import AsyncExitStack

from cni_runtime.conf.watch import ConfDirWatcher
from cni_runtime.invoke.choose import ChoosingInvoker, Mode
from cni_runtime.invoke.executable import ExecutableInvoker
from cni_runtime.net.keeping import keep_tables
from cni_runtime.runtime import CniRuntime
from crishim.core.config import Config
from crishim.core.tasks import TaskOwner


async def watch_networks(config: Config, owner: TaskOwner) -> dict[str, ConfDirWatcher]:
    """A watcher for the default configuration directory, under "", and one for each handler that has its own."""
    watchers = {"": ConfDirWatcher(config.cni.conf_dir, config.cni.max_conf_num)}
    for name, handler in config.runtimes.items():
        if handler.cni_conf_dir:
            number = handler.cni_max_conf_num or config.cni.max_conf_num
            watchers[name] = ConfDirWatcher(handler.cni_conf_dir, number)
    for name, watcher in watchers.items():
        await watcher.reload()
        owner.spawn(f"cni.watch {name or 'default'}", watcher.run(), critical=True)
    return watchers


def open_cni(config: Config, owner: TaskOwner, undo: AsyncExitStack) -> CniRuntime:
    """The CNI runtime, with the plugins built in or executed as the configuration says.

    What built-in plugins have in nftables is made again when another program flushes it.
    """
    cni = config.cni
    exceptions = {kind: Mode(source) for kind, source in cni.exceptions.items()}
    executable = ExecutableInvoker(timeout=cni.plugin_timeout)
    invoker = ChoosingInvoker(executable, mode=Mode(cni.plugins), types=exceptions)
    undo.push_async_callback(invoker.aclose)
    owner.spawn("cni.rules", keep_tables())
    return CniRuntime(invoker, path=cni.bin_dirs)
