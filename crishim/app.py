"""The composition root: the only module that knows everyone. It builds the server, runs it, and takes it apart."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import structlog

from cni_runtime.conf.watch import ConfDirWatcher
from cni_runtime.invoke.choose import ChoosingInvoker, Mode
from cni_runtime.invoke.executable import ExecutableInvoker
from cni_runtime.invoke.leftover import end_leftovers
from cni_runtime.runtime import CniRuntime
from crishim.core.config import Config
from crishim.core.errors import UnavailableError
from crishim.core.tasks import InFlight, TaskOwner
from crishim.drivers.cgroups import CgroupDriver, detect
from crishim.drivers.filesystems import FileSystemDriver
from crishim.drivers.image_database import ImageDatabase
from crishim.drivers.mounts import MountDriver
from crishim.drivers.namespaces import NamespaceDriver
from crishim.drivers.preflight import Requirements, check_node
from crishim.drivers.store import Store
from crishim.events import Events
from crishim.image.configure import image_settings
from crishim.image.opening import opened_images
from crishim.image.service import Images
from crishim.node import Node
from crishim.recovery import Recovery
from crishim.rpc.handlers.images import ImageHandlers, OwnImageHandlers
from crishim.rpc.runtime_service import runtime_service
from crishim.rpc.server import serving
from crishim.sandbox.files import SandboxFiles
from crishim.sandbox.index import SandboxIndex
from crishim.sandbox.layout import NETNS_DIR, Layout
from crishim.sandbox.network import NetworkPolicy, PodNetwork
from crishim.sandbox.networks import ConfiguredNetworks
from crishim.sandbox.run import RunSandbox
from crishim.sandbox.service import Sandboxes
from crishim.sandbox.teardown import Teardown

_log = structlog.get_logger(__name__)

# More than a chain of slow plugins takes: a stop that cuts ADD short leaves work for the next start.
STOP_GRACE_SECONDS = 10.0


async def serve(config: Config) -> None:
    """Run the server until SIGTERM or SIGINT, then stop it gracefully.

    Raises CrishimError when it can not start, or when a task failed without which it can not go on.
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
        images = await _open_images(config, owner, undo)
        undo.push_async_callback(owner.aclose)
        watchers = await _watch(config, owner)
        index = SandboxIndex(store)
        cni = _cni(config, undo)
        driver = (await detect(config.runtimes[config.default_runtime_name].systemd_cgroup)).driver
        sandboxes, recovery = _sandboxes(config, owner, index, cni, watchers, driver)
        index.load(await store.load_sandboxes(), await store.load_attachments())
        for problem in store.problems:
            _log.warning("store.problem", problem=problem)
        await recovery.reconcile()
        owner.spawn("recovery.retry", recovery.retry_forever())
        node = _node(config, watchers[""], cni, driver)
        handlers = runtime_service(node, sandboxes)
        image, own = ImageHandlers(images).handlers(), OwnImageHandlers(images).handlers()
        server = serving(config.address, runtime=handlers, image=image, own=own, grace=STOP_GRACE_SECONDS)
        await undo.enter_async_context(server)
        yield owner


async def _open_images(config: Config, owner: TaskOwner, undo: AsyncExitStack) -> Images:
    settings = image_settings(config)
    records = await ImageDatabase.open(settings.root / "images.db")
    undo.push_async_callback(records.close)
    for problem in records.problems:
        _log.warning("images.problem", problem=problem)
    images = opened_images(settings, records, FileSystemDriver(), owner, config.root / "containers")
    return await undo.enter_async_context(images)


async def _open_store(config: Config) -> Store:
    try:
        for directory in (config.root, config.state):
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"cannot make directory {error.filename}: {error.strerror}") from error
    return await Store.open(config.root / "state.db")


async def _watch(config: Config, owner: TaskOwner) -> dict[str, ConfDirWatcher]:
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


def _cni(config: Config, undo: AsyncExitStack) -> CniRuntime:
    cni = config.cni
    exceptions = {kind: Mode(source) for kind, source in cni.exceptions.items()}
    executable = ExecutableInvoker(timeout=cni.plugin_timeout)
    invoker = ChoosingInvoker(executable, mode=Mode(cni.plugins), types=exceptions)
    undo.push_async_callback(invoker.aclose)
    return CniRuntime(invoker, path=cni.bin_dirs)


def _sandboxes(
    config: Config,
    owner: TaskOwner,
    index: SandboxIndex,
    cni: CniRuntime,
    watchers: Mapping[str, ConfDirWatcher],
    driver: CgroupDriver,
) -> tuple[Sandboxes, Recovery]:
    netns_dir = config.state / "netns" if config.netns_mounts_under_state_dir else NETNS_DIR
    layout = Layout(config.root, config.state, netns_dir)
    namespaces, mounts = NamespaceDriver(), MountDriver()
    policy = NetworkPolicy(
        ip_preference=config.cni.ip_pref,
        serially=config.cni.setup_serially,
        internal_loopback=config.cni.use_internal_loopback,
    )
    network = PodNetwork(index, cni, ConfiguredNetworks(watchers[""], watchers), namespaces, policy)
    files = SandboxFiles(layout, mounts)
    events = Events(index.find, lambda sandbox_id: [])
    teardown = Teardown(index, _NoContainers(), network, namespaces, files, events.on_sandbox)
    in_flight = InFlight(owner)
    run = RunSandbox(index, layout, files, namespaces, network, teardown, in_flight, driver, events.on_sandbox)
    sandboxes = Sandboxes(index, run, teardown, in_flight, config.runtimes, config.default_runtime_name)
    return sandboxes, Recovery(index, layout, teardown, namespaces, mounts, end_leftovers)


class _NoContainers:
    async def stop_all(self, sandbox_id: str) -> None: ...

    async def remove_all(self, sandbox_id: str) -> None: ...


def _node(config: Config, watcher: ConfDirWatcher, cni: CniRuntime, driver: CgroupDriver) -> Node:
    requirements = Requirements(
        netns_dir=NETNS_DIR,
        conf_dirs=(config.cni.conf_dir,),
        bin_dirs=config.cni.bin_dirs,
        runtimes={name: handler.binary_name or "crun" for name, handler in config.runtimes.items()},
    )

    async def preflight() -> list[dict[str, object]]:
        return [msgspec.to_builtins(check) for check in await check_node(requirements)]

    return Node(config, watcher, cni, preflight, driver.value)
