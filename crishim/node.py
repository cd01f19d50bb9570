"""What the node says of itself to kubelet: conditions, handlers, cgroup driver, and its pod CIDR put to use."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal, Protocol

import structlog
from anyio import to_thread

from cni_runtime import files
from cni_runtime.conf.types import NetworkList
from cni_runtime.errors import CniError, ErrorCode
from crishim.core.config import Config, effective
from crishim.core.errors import InvalidArgumentError, UnavailableError
from crishim.core.gotemplate import render
from crishim.model.node import Condition, NodeFeatures, NodeStatus, RuntimeHandler
from crishim.sandbox.networks import WatchedDirectory

_log = structlog.get_logger()

NETWORK_NOT_READY = "NetworkPluginNotReady"
NETWORK_LIMITED = "LimitedConnectivity"
# The name under which runtimes have always rendered conf_template: a node that changes runtime keeps one file.
RENDERED_CONF = "10-containerd-net.conflist"
_FILE_MODE = 0o644


class NetworkProbe(Protocol):
    """Asks the plugins of a network whether they are ready."""

    async def status(self, network: NetworkList) -> object:
        """Raise CniError when the network is not ready for ADD."""
        ...


class Node:
    """Answers Status, RuntimeConfig and UpdateRuntimeConfig."""

    def __init__(
        self,
        config: Config,
        watched: WatchedDirectory,
        probe: NetworkProbe,
        preflight: Callable[[], Awaitable[list[dict[str, object]]]],
        cgroup_driver: Literal["systemd", "cgroupfs"],
        handlers: tuple[RuntimeHandler, ...],
    ) -> None:
        self._config, self._watched, self._probe = config, watched, probe
        self._preflight, self._handlers = preflight, handlers
        self.cgroup_driver = cgroup_driver

    async def status(self) -> NodeStatus:
        """The conditions as they are now; the network is asked, not remembered."""
        # Nothing of a user namespace depends on whose network a pod has.
        user_namespaces = any(handler.user_namespaces for handler in self._handlers)
        features = NodeFeatures(
            supplemental_groups_policy=True, user_namespaces_host_network=user_namespaces, mount_options=True
        )
        network = await self._network()
        return NodeStatus(runtime=Condition(), network=network, handlers=self._handlers, features=features)

    async def info(self) -> dict[str, Any]:
        """Verbose status: CNI configuration in force, what start-up found on this machine, effective configuration."""
        snapshot = self._watched.snapshot
        return {
            "cni": {
                "directory": str(snapshot.directory),
                "networks": [_network_info(network) for network in snapshot.networks],
                "skipped": {str(skipped.path): str(skipped.error) for skipped in snapshot.skipped},
            },
            "preflight": await self._preflight(),
            "config": effective(self._config),
        }

    async def update_pod_cidr(self, pod_cidr: str) -> None:
        """Render ``conf_template`` for a pod CIDR (or two, with a comma) into the configuration directory.

        Does nothing without a template, and leaves a network that someone else has configured alone.
        Raises InvalidArgumentError for what is no CIDR, ConfigError for a bad template.
        """
        template = self._config.cni.conf_template
        values = template_values(pod_cidr)
        if template is None:
            return
        target = self._config.cni.conf_dir / RENDERED_CONF
        if others := [network.source for network in self._watched.snapshot.networks if network.source != str(target)]:
            _log.info("node.pod_cidr_not_rendered", reason="the network is configured already", by=others)
            return
        await to_thread.run_sync(_render_file, template, values, target)
        _log.info("node.pod_cidr_rendered", pod_cidr=pod_cidr, file=str(target))

    async def _network(self) -> Condition:
        snapshot = self._watched.snapshot
        if problem := snapshot.problem():
            return Condition(ready=False, reason=NETWORK_NOT_READY, message=f"cni plugin not initialized: {problem}")
        try:
            for network in snapshot.networks:
                await self._probe.status(network)
        except CniError as error:
            # Pods get their IP all the same; that not everyone reaches them is no reason to take the node away.
            if error.code == ErrorCode.LIMITED_CONNECTIVITY:
                return Condition(ready=True, reason=NETWORK_LIMITED, message=str(error))
            return Condition(ready=False, reason=NETWORK_NOT_READY, message=str(error))
        return Condition()


def template_values(pod_cidr: str) -> dict[str, object]:
    """What a ``conf_template`` may use: PodCIDR, PodCIDRRanges and the default Routes of each family in them.

    A CIDR may have host bits, as for Go's ParseCIDR. Raises InvalidArgumentError.
    """
    try:
        ranges = [_network(text.strip()) for text in pod_cidr.split(",")]
    except ValueError as error:
        message = f"runtime_config.network_config.pod_cidr: expected CIDRs, found {pod_cidr!r} ({error})"
        raise InvalidArgumentError(message) from None
    families = dict.fromkeys(network.version for network in ranges)
    return {
        "PodCIDR": str(ranges[0]),
        "PodCIDRRanges": [str(network) for network in ranges],
        "Routes": ["0.0.0.0/0" if family == 4 else "::/0" for family in families],
    }


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    if "/" not in text:
        raise ValueError(f"{text!r} has no prefix length")
    return ipaddress.ip_network(text, strict=False)


def _network_info(network: NetworkList) -> dict[str, Any]:
    plugins = [plugin.type for plugin in network.plugins]
    return {"name": network.name, "cniVersion": network.cni_version, "source": network.source, "plugins": plugins}


def _render_file(template: Path, values: dict[str, object], target: Path) -> None:
    """Render so that a reader sees the old content or the new one; the name it is written under is no config."""
    try:
        text = render(template.read_text(), values, str(template))
        target.parent.mkdir(parents=True, exist_ok=True)
        files.replace(target, text.encode(), _FILE_MODE)
    except (OSError, UnicodeDecodeError) as error:
        raise UnavailableError(f"cannot render {template} into {target}: {error}") from error
