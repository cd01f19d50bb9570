"""Builds the container domain on the OCI runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from crishim.app.apparmor import open_apparmor
from crishim.app.selinux import open_selinux
from crishim.container.create import CreateContainer
from crishim.container.exec import Exec
from crishim.container.handlers import of_handler
from crishim.container.index import ContainerIndex
from crishim.container.infra import Infra
from crishim.container.layout import ContainerLayout
from crishim.container.prepare import Handler, Prepare
from crishim.container.recover import RecoverContainers
from crishim.container.remove import RemoveContainer
from crishim.container.service import Containers
from crishim.container.spec.cgroup import cgroups_path
from crishim.container.spec.inputs import HostFacts, PodFiles
from crishim.container.stats import Stats
from crishim.container.watch import Watch
from crishim.core.config import Config
from crishim.core.errors import CrishimError, explain
from crishim.core.tasks import InFlight, TaskOwner
from crishim.drivers import threads
from crishim.drivers.cgroups.groups import ControlGroups
from crishim.drivers.cgroups.hierarchy import group_path, hierarchies, slice_path
from crishim.drivers.container_node import ContainerNode
from crishim.drivers.host_facts import gather
from crishim.drivers.mount_driver import MountDriver
from crishim.drivers.mount_points import make_mount_points
from crishim.drivers.mounts import read_mounts
from crishim.drivers.oci.driver import Limits, OciDriver
from crishim.drivers.oci.handlers import Handler as OciHandler
from crishim.drivers.oci.handlers import Handlers, probe
from crishim.drivers.open_files import raise_open_files
from crishim.drivers.overlay import OverlayDriver
from crishim.drivers.preflight import NeededProfile
from crishim.drivers.store import Store
from crishim.drivers.usage import UsageDriver
from crishim.events import Events
from crishim.image.configure import image_root
from crishim.image.service import Images
from crishim.model.container import Container, Event
from crishim.model.node import RuntimeHandler
from crishim.model.sandbox import Sandbox
from crishim.sandbox.index import SandboxIndex
from crishim.sandbox.layout import Layout


class ContainerParts(Struct, frozen=True):
    """What the rest of the server needs of the container domain."""

    index: ContainerIndex
    containers: Containers
    recovery: RecoverContainers
    stats: Stats
    execute: Exec
    oci: OciDriver
    handlers: tuple[RuntimeHandler, ...]


class OciParts(Struct, frozen=True):
    """The OCI runtime with what was found out about it, by runtime handler; "" is the default one.

    ``without_user_namespaces`` holds the reason for every handler whose pods cannot have one of their own.
    ``apparmor`` is the profile that containers have unless they say otherwise, ``selinux`` what ``open_selinux`` tells.
    """

    driver: OciDriver
    known: Handlers
    handlers: dict[str, Handler]
    without_user_namespaces: dict[str, str]
    apparmor: NeededProfile | None
    selinux: str | None

    @property
    def hosts(self) -> dict[str, HostFacts]:
        """What the node can do, by runtime handler."""
        return {name: handler.host for name, handler in self.handlers.items()}


def container_layout(config: Config) -> ContainerLayout:
    """Where everything of a container lies."""
    return ContainerLayout(config.root, config.state)


async def open_oci(config: Config, *, systemd: bool) -> OciParts:
    """Ask the configured OCI runtimes what they can do, and put the driver on them.

    From then on this process may have all the open files that containers take; these get the limit that it had before.
    """
    configured = {**config.runtimes, "": config.runtimes[config.default_runtime_name]}
    known = await probe(configured, systemd=systemd)
    gathered = await gather(
        systemd_configured=systemd,
        restrict_oom_score_adj=config.restrict_oom_score_adj,
        enable_selinux=config.enable_selinux,
        disable_apparmor=config.disable_apparmor,
    )
    apparmor = await open_apparmor(gathered, config.state)
    facts = replace(gathered, open_files=raise_open_files())
    handlers: dict[str, Handler] = {}
    for name, handler in configured.items():
        usable = known.usable.get(name)
        handlers[name] = Handler(handler, with_runtime(facts, usable) if usable else facts)
    limits = Limits(drain=config.drain_exec_sync_io_timeout or None)
    driver = OciDriver(config.state / "oci", known, await ControlGroups.open(), limits=limits)
    await driver.prepare()
    places = container_layout(config)
    await threads.run(make_mount_points, places.mount_points)
    selinux = await open_selinux(facts, image_root(config), places.kept)
    without = await _without_user_namespaces(known, OverlayDriver(places.kept))
    return OciParts(driver, known, handlers, without, apparmor, selinux)


def with_runtime(facts: HostFacts, handler: OciHandler) -> HostFacts:
    """What the node and the OCI runtime of a handler can do together."""
    return replace(
        facts,
        systemd_cgroup=handler.systemd_cgroup,
        recursive_read_only=facts.recursive_read_only and handler.features.recursive_read_only_mounts,
        id_mapped_mounts=facts.id_mapped_mounts and handler.features.id_mapped_mounts,
    )


async def _without_user_namespaces(known: Handlers, overlay: OverlayDriver) -> dict[str, str]:
    """Both the OCI runtime and the kernel have to be able to; the kernel is only asked when that matters."""
    able = {name for name, handler in known.usable.items() if handler.features.user_namespaces}
    reasons = dict(known.problems)
    for name in known.usable.keys() - able:
        reasons[name] = f"{known.usable[name].program} reports no user namespaces with id-mapped mounts"
    try:
        if able:
            await overlay.check_id_maps()
    except CrishimError as error:
        reasons |= dict.fromkeys(able, explain(error))
    return reasons


def build_containers(
    config: Config,
    store: Store,
    sandboxes: SandboxIndex,
    layout: Layout,
    images: Images,
    oci: OciParts,
    events: Events,
    owner: TaskOwner,
    in_flight: InFlight,
) -> ContainerParts:
    """The container verbs, their statistics, and what puts containers right at the start."""
    index = ContainerIndex(store, owner)
    stats = Stats(index, _usage(config, sandboxes, oci, layout.kept_sandboxes), owner, sandboxes.all)

    def tell(container: Container, event: Event) -> None:
        events.on_container(container, event)
        stats.on_container(container, event)

    places = container_layout(config)
    rootfs = OverlayDriver(places.kept, places.mount_points)
    files, node = MountDriver(), ContainerNode(rootfs)
    watch = Watch(index, oci.driver, owner, tell)
    remove = RemoveContainer(index, places, oci.driver, rootfs, images, files, watch, tell)
    pods = _Pods(sandboxes)
    infra = Infra(index, places, pods, files, oci.driver, remove, watch, in_flight, oci.hosts)
    ownership = config.device_ownership_from_security_context
    prepare = Prepare(index, places, oci.handlers, _pod_files(layout), images, node, infra, device_ownership=ownership)
    create = CreateContainer(
        index,
        places,
        pods,
        images,
        rootfs,
        prepare,
        oci.driver,
        remove,
        watch,
        in_flight,
        tell,
    )
    execute = Exec(index, places, node, oci.driver)
    containers = Containers(index, pods, create, remove, oci.driver, watch, in_flight, tell, execute, oci.hosts)
    recovery = RecoverContainers(index, places, oci.driver, images, remove, watch)
    return ContainerParts(index, containers, recovery, stats, execute, oci.driver, _features(oci))


class _Pods:
    """The sandboxes as containers see them."""

    def __init__(self, index: SandboxIndex) -> None:
        self.get = index.resolve


def _pod_files(layout: Layout) -> Callable[[str], PodFiles]:
    def files(sandbox_id: str) -> PodFiles:
        paths = layout.paths(sandbox_id)
        return PodFiles(str(paths.hostname), str(paths.hosts), str(paths.resolv_conf), str(paths.shm))

    return files


def _usage(config: Config, sandboxes: SandboxIndex, oci: OciParts, pods: Path) -> UsageDriver:
    hosts = oci.hosts

    def group_of_container(container: Container) -> str:
        sandbox, host = sandboxes.get(container.sandbox_id), of_handler(hosts, container.runtime_handler)
        return group_path(cgroups_path(container.id, sandbox, host), systemd=host.systemd_cgroup)

    def group_of_sandbox(sandbox: Sandbox) -> str:
        parent, host = sandbox.config.cgroup_parent, of_handler(hosts, sandbox.runtime_handler)
        return slice_path(Path(parent).name) if host.systemd_cgroup else parent

    mounted = hierarchies(read_mounts())
    return UsageDriver(mounted, group_of_container, group_of_sandbox, container_layout(config).kept, pods)


def _features(oci: OciParts) -> tuple[RuntimeHandler, ...]:
    """Every handler that can be used, with what CRI wants to know of it; the default one has no name."""
    return tuple(
        RuntimeHandler(
            name,
            recursive_read_only_mounts=oci.hosts[name].recursive_read_only,
            user_namespaces=name not in oci.without_user_namespaces,
        )
        for name in sorted(oci.known.usable)
    )
