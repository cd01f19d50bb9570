"""Puts the domains together, serves them, and takes them apart."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import msgspec
import structlog

from cni_runtime.conf.watch import ConfDirWatcher
from cni_runtime.invoke.choose import ChoosingInvoker
from cni_runtime.runtime import CniRuntime
from crishim.app.containers import ContainerParts, OciParts, build_containers, open_oci
from crishim.app.images import open_images
from crishim.app.networks import open_invoker, open_networks
from crishim.app.pods import build_sandboxes, sandbox_layout
from crishim.app.streams import open_streams
from crishim.core.config import Config
from crishim.core.errors import UnavailableError
from crishim.core.tasks import InFlight, TaskOwner
from crishim.drivers.cgroups import CgroupDriver, detect
from crishim.drivers.own_code import release_code
from crishim.drivers.preflight import Requirements, check_node
from crishim.drivers.process.reaper import reap_orphans
from crishim.drivers.store import Store
from crishim.drivers.syscalls import trim_memory
from crishim.events import Events
from crishim.image.service import Images
from crishim.node import Node
from crishim.rpc.handlers.images import ImageHandlers, OwnImageHandlers
from crishim.rpc.runtime_service import runtime_service
from crishim.rpc.server import serving
from crishim.sandbox.index import SandboxIndex
from crishim.sandbox.layout import NETNS_DIR
from crishim.sandbox.service import Sandboxes

_log = structlog.get_logger(__name__)

# More than a chain of slow plugins takes: a stop that cuts ADD short leaves work for the next start.
STOP_GRACE_SECONDS = 10.0


async def serve(config: Config) -> None:
    """Run the server until SIGTERM or SIGINT, then stop it gracefully.

    Raises CrishimError when it cannot start, or when a task failed without which it cannot go on.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(config) as owner:
        await owner.first_failure_or(stop.wait())
        _log.info("stopping")


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[TaskOwner]:
    """A whole server that answers while the body runs; the owner of its tasks tells when a critical one failed."""
    async with AsyncExitStack() as undo:
        owner = TaskOwner()
        store = await _open_store(config)
        undo.push_async_callback(store.close)
        images = await open_images(config, owner, undo)
        invoker = open_invoker(config, undo)
        # After all that tasks need to come to their end: an ADD that is cut off is undone by its plugins.
        undo.push_async_callback(owner.aclose)
        parts = await _put_together(config, store, images, invoker, owner)
        containers = parts.of_containers
        streams = await undo.enter_async_context(open_streams(config, containers, parts.sandboxes))
        handlers = runtime_service(
            parts.node, parts.sandboxes, containers.containers, containers.stats, parts.events, streams
        )
        image, own = ImageHandlers(images).handlers(), OwnImageHandlers(images).handlers()
        server = serving(config.address, runtime=handlers, image=image, own=own, grace=STOP_GRACE_SECONDS)
        await undo.enter_async_context(server)
        _settle()
        yield owner


class _Parts(NamedTuple):
    """What is served."""

    node: Node
    sandboxes: Sandboxes
    of_containers: ContainerParts
    events: Events


async def _put_together(
    config: Config, store: Store, images: Images, invoker: ChoosingInvoker, owner: TaskOwner
) -> _Parts:
    """Build every domain, then bring records and machine to agree, containers before the sandboxes they live in."""
    default = config.runtimes[config.default_runtime_name]
    driver = (await detect(default.systemd_cgroup)).driver
    watchers, cni = await open_networks(config, owner, invoker)
    in_flight = InFlight(owner)
    oci = await open_oci(config, systemd=driver is CgroupDriver.SYSTEMD)
    index, layout = SandboxIndex(store), sandbox_layout(config)
    events = Events(index.find, index.successor)
    of_containers = build_containers(config, store, index, layout, images, oci, events, owner, in_flight)
    events.containers_of = of_containers.index.visible_of
    sandboxes, recovery = build_sandboxes(
        config,
        index,
        cni,
        watchers,
        of_containers.containers,
        events,
        in_flight,
        driver,
        oci.without_user_namespaces,
    )
    index.load(await store.load_sandboxes(), await store.load_attachments())
    of_containers.index.load(await store.load_containers())
    for problem in store.problems:
        _log.warning("store.problem", problem=problem)
    owner.spawn("processes.reap", reap_orphans())
    await of_containers.recovery.reconcile()
    await recovery.reconcile()
    owner.spawn("recovery.retry", recovery.retry_forever())
    node = _node(config, watchers[""], cni, driver, oci, of_containers)
    return _Parts(node, sandboxes, of_containers, events)


def _settle() -> None:
    """What is there now stays: it need not be looked at for garbage ever again, which would hold up every caller."""
    gc.collect()
    gc.freeze()
    trim_memory()
    release_code()


async def _open_store(config: Config) -> Store:
    try:
        for directory in (config.root, config.state):
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"cannot make directory {error.filename}: {error.strerror}") from error
    return await Store.open(config.root / "state.db")


def _node(
    config: Config,
    watcher: ConfDirWatcher,
    cni: CniRuntime,
    driver: CgroupDriver,
    oci: OciParts,
    of_containers: ContainerParts,
) -> Node:
    requirements = Requirements(
        netns_dir=NETNS_DIR,
        state_dir=config.state,
        conf_dirs=(config.cni.conf_dir,),
        bin_dirs=config.cni.bin_dirs,
        runtimes=oci.known,
        apparmor=oci.apparmor,
        selinux=oci.selinux,
    )

    async def preflight() -> list[dict[str, object]]:
        return [msgspec.to_builtins(check) for check in await check_node(requirements)]

    return Node(config, watcher, cni, preflight, driver.value, of_containers.handlers)
