"""Builds the sandbox domain."""

from __future__ import annotations

from collections.abc import Mapping

from cni_runtime.conf.watch import ConfDirWatcher
from cni_runtime.invoke.leftover import end_leftovers
from cni_runtime.runtime import CniRuntime
from crishim.core.config import Config
from crishim.core.tasks import InFlight
from crishim.drivers.cgroups import CgroupDriver
from crishim.drivers.mount_driver import MountDriver
from crishim.drivers.namespaces import NamespaceDriver
from crishim.events import Events
from crishim.recovery import Recovery
from crishim.sandbox.files import SandboxFiles
from crishim.sandbox.index import SandboxIndex
from crishim.sandbox.layout import NETNS_DIR, Layout
from crishim.sandbox.network import NetworkPolicy, PodNetwork
from crishim.sandbox.networks import ConfiguredNetworks
from crishim.sandbox.ports import Containers
from crishim.sandbox.run import RunSandbox
from crishim.sandbox.service import Sandboxes
from crishim.sandbox.sysctls import unprivileged_network
from crishim.sandbox.teardown import Teardown


def sandbox_layout(config: Config) -> Layout:
    """Where everything of a sandbox lies."""
    netns_dir = config.state / "netns" if config.netns_mounts_under_state_dir else NETNS_DIR
    return Layout(config.root, config.state, netns_dir)


def build_sandboxes(
    config: Config,
    index: SandboxIndex,
    cni: CniRuntime,
    watchers: Mapping[str, ConfDirWatcher],
    containers: Containers,
    events: Events,
    in_flight: InFlight,
    driver: CgroupDriver,
    without_user_namespaces: Mapping[str, str],
) -> tuple[Sandboxes, Recovery]:
    """The sandbox verbs, and what puts sandboxes right at the start."""
    layout, namespaces, mounts = sandbox_layout(config), NamespaceDriver(), MountDriver()
    policy = NetworkPolicy(
        ip_preference=config.cni.ip_pref,
        serially=config.cni.setup_serially,
        internal_loopback=config.cni.use_internal_loopback,
    )
    network = PodNetwork(index, cni, ConfiguredNetworks(watchers[""], watchers), namespaces, policy)
    files = SandboxFiles(layout, mounts)
    teardown = Teardown(index, containers, network, namespaces, files, events.on_sandbox)
    sysctls = unprivileged_network(ports=config.enable_unprivileged_ports, icmp=config.enable_unprivileged_icmp)
    run = RunSandbox(
        index,
        layout,
        files,
        namespaces,
        network,
        containers,
        teardown,
        in_flight,
        driver,
        events.on_sandbox,
        sysctls,
    )
    default = config.default_runtime_name
    sandboxes = Sandboxes(index, run, teardown, in_flight, config.runtimes, default, without_user_namespaces)
    return sandboxes, Recovery(index, layout, teardown, namespaces, mounts, end_leftovers)
