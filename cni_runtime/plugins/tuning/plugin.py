"""The verbs of tuning. All kernel work of a verb is one call in one thread, which enters the pod's namespace."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import ClassVar

import msgspec

from cni_runtime import faults, files
from cni_runtime.call import PluginCall
from cni_runtime.errors import CniError
from cni_runtime.net import plan as plans
from cni_runtime.net import sysctl
from cni_runtime.net.inspect import find_link
from cni_runtime.net.settings import Settings, set_settings
from cni_runtime.net.sockets import NetlinkError, NetlinkSocket, in_namespace, opened, run_in_own_thread
from cni_runtime.plugins.base import (
    Context,
    DataDir,
    Plugin,
    decode_some,
    netns_of,
    network_of,
    nothing_done_yet,
    require_previous,
)
from cni_runtime.plugins.tuning.config import (
    TuningConfig,
    read_allowlist,
    require_allowed,
    saved_path,
    sysctl_keys,
    tuning_config,
)
from cni_runtime.plugins.tuning.plan import Seen, compare, tuning_plan, with_mac
from cni_runtime.result import Result

log = logging.getLogger(__name__)


class Tuning(Plugin):
    """See the package."""

    type: ClassVar[str] = "tuning"

    async def add(self, call: PluginCall, context: Context) -> Result:
        with nothing_done_yet():
            config, previous = tuning_config(call, context), require_previous(call)
        return await run_in_own_thread(partial(_add, call, config, previous))

    async def delete(self, call: PluginCall, context: Context) -> None:
        await run_in_own_thread(partial(_delete, call, saved_path(call, decode_some(call, DataDir).data_dir)))

    async def check(self, call: PluginCall, context: Context) -> None:
        config = tuning_config(call, context)
        require_previous(call)
        await run_in_own_thread(partial(_check, call, config))

    async def status(self, call: PluginCall, context: Context) -> None:
        config = tuning_config(call, context)
        require_allowed(call, config, await run_in_own_thread(read_allowlist))


def _add(call: PluginCall, config: TuningConfig, result: Result) -> Result:
    require_allowed(call, config, read_allowlist())
    keys = sysctl_keys(call, config)
    with opened(netns_of(call)) as pod:
        seen = in_namespace(pod, partial(_look, call.ifname, tuple(keys)))
        plan = tuning_plan(config, keys, seen, call.ifname, saved_path(call, config.data_dir))
        plans.apply(plan, pod=pod, label="tuning.ADD")
    return with_mac(result, call.ifname, config.mac)


def _look(ifname: str, keys: tuple[str, ...]) -> Seen:
    with NetlinkSocket() as netlink:
        return Seen(find_link(netlink, ifname), {key: _read(key) for key in keys})


def _read(key: str) -> str | None:
    try:
        return sysctl.read(key)
    except FileNotFoundError:
        raise CniError(f"the pod's network namespace has no sysctl {key}") from None
    except OSError:
        return None  # some can only be written


def _check(call: PluginCall, config: TuningConfig) -> None:
    keys = sysctl_keys(call, config)
    with opened(netns_of(call)) as pod:
        compare(config, keys, in_namespace(pod, partial(_look, call.ifname, tuple(keys))), call.ifname)


def _delete(call: PluginCall, saved: Path) -> None:
    """Change back what ADD changed, as far as that is possible: the interface is about to go, or to be given back."""
    faults.reach("tuning.DEL.restore")
    before = _saved(saved)
    if call.netns and before is not None:
        try:
            with opened(call.netns) as pod:
                in_namespace(pod, partial(_restore, call.ifname, before))
        except FileNotFoundError:
            pass
        except NetlinkError as exc:
            log.warning("network %s: cannot restore %s: %s", network_of(call), call.ifname, exc)
    files.remove(saved)


def _saved(path: Path) -> Settings | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Settings)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as exc:
        log.warning("%s: %s", path, exc)
        return None


def _restore(ifname: str, before: Settings) -> None:
    with NetlinkSocket() as netlink:
        link = find_link(netlink, ifname)
        if link is not None:
            netlink.run(set_settings(link.index, before))
