"""Stand-ins for the sandbox and node services, for tests of whatever calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import anyio
from msgspec.structs import replace

from crishim.core.errors import NotFoundError
from crishim.model.node import Condition, NodeStatus
from crishim.model.pod import PodConfig, Resources
from crishim.model.sandbox import Sandbox, SandboxFilter, State

_READY = NodeStatus(runtime=Condition(), network=Condition())


@dataclass
class FakeSandboxService:
    """Keeps sandboxes in a dict. ``error`` is raised by every call; ``gate`` holds ``run`` until it is set."""

    sandboxes: dict[str, Sandbox] = field(default_factory=dict)
    error: BaseException | None = None
    gate: anyio.Event | None = None
    entered: anyio.Event = field(default_factory=anyio.Event)
    cancelled: anyio.Event = field(default_factory=anyio.Event)

    async def run(self, config: PodConfig, runtime_handler: str) -> str:
        """Add a ready sandbox."""
        self.entered.set()
        await self._pass_gate()
        self._raise_error()
        sandbox_id = f"{len(self.sandboxes):064x}"
        self.sandboxes[sandbox_id] = Sandbox(
            id=sandbox_id,
            config=config,
            runtime_handler=runtime_handler,
            created_at=1,
            boot_id="boot",
            state=State.READY,
            ips=("10.0.0.2", "fd00::2"),
        )
        return sandbox_id

    async def stop(self, sandbox_id: str) -> None:
        """Do nothing."""
        self._raise_error()

    async def remove(self, sandbox_id: str) -> None:
        """Drop it."""
        self._raise_error()
        self.sandboxes.pop(sandbox_id, None)

    async def update_resources(self, sandbox_id: str, overhead: Resources | None, resources: Resources | None) -> None:
        """Replace them."""
        sandbox = self.get(sandbox_id)
        config = replace(sandbox.config, overhead=overhead, resources=resources)
        self.sandboxes[sandbox_id] = replace(sandbox, config=config)

    def get(self, sandbox_id: str) -> Sandbox:
        """The sandbox with exactly this id."""
        self._raise_error()
        if sandbox_id not in self.sandboxes:
            raise NotFoundError(f"pod sandbox {sandbox_id} does not exist")
        return self.sandboxes[sandbox_id]

    def list(self, wanted: SandboxFilter) -> Sequence[Sandbox]:
        """Those that match, oldest first."""
        self._raise_error()
        return [sandbox for sandbox in self.sandboxes.values() if wanted.matches(sandbox)]

    def info(self, sandbox: Sandbox) -> Mapping[str, object]:
        """One value that can be recognised."""
        return {"runtimeHandler": sandbox.runtime_handler}

    async def _pass_gate(self) -> None:
        try:
            if self.gate is not None:
                await self.gate.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled.set()
            raise

    def _raise_error(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass
class FakeNodeService:
    """Reports what it is given and remembers the pod ranges it was told."""

    reported: NodeStatus = _READY
    cgroup_driver: Literal["systemd", "cgroupfs"] = "cgroupfs"
    verbose: Mapping[str, object] = field(default_factory=dict)
    pod_cidrs: list[str] = field(default_factory=list)

    async def status(self) -> NodeStatus:
        """``reported``."""
        return self.reported

    async def info(self) -> Mapping[str, object]:
        """``verbose``."""
        return self.verbose

    async def update_pod_cidr(self, pod_cidr: str) -> None:
        """Remember it."""
        self.pod_cidrs.append(pod_cidr)
