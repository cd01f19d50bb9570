"""Records in memory, with the rules of ``crishim.drivers.store.Store``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from crishim.core.errors import AlreadyExistsError, FailedPreconditionError
from crishim.model.attachment import AttachmentRecord
from crishim.model.container import Container
from crishim.model.sandbox import Sandbox
from crishim.testing.failures import Failures

_AttachmentKey = tuple[str, str, str]


class MemoryStore:
    """Forgets everything with the object; hand the same one to a second server to play a restart."""

    def __init__(self) -> None:
        self.failures = Failures()
        self.problems: list[str] = []
        self._sandboxes: dict[str, Sandbox] = {}
        self._attachments: dict[_AttachmentKey, AttachmentRecord] = {}
        self._containers: dict[str, Container] = {}

    async def close(self) -> None:
        """Nothing is open."""

    async def put(self, *records: Sandbox | AttachmentRecord, without: Sequence[AttachmentRecord] = ()) -> None:
        """Write or replace records and forget attachments, all or none."""
        self.failures.strike("put")
        sandboxes, attachments = dict(self._sandboxes), dict(self._attachments)
        for record in records:
            if isinstance(record, Sandbox):
                sandboxes[record.id] = record
            else:
                attachments[record.sandbox_id, record.network, record.ifname] = record
        for gone in without:
            attachments.pop((gone.sandbox_id, gone.network, gone.ifname), None)
        _check(sandboxes, attachments)
        self._sandboxes, self._attachments = sandboxes, attachments

    async def delete_sandbox(self, sandbox_id: str) -> None:
        """Forget a sandbox that has no attachments."""
        self.failures.strike("delete_sandbox")
        left = {key: sandbox for key, sandbox in self._sandboxes.items() if key != sandbox_id}
        _check(left, self._attachments)
        self._sandboxes = left

    def lose_sandbox(self, sandbox_id: str) -> None:
        """Lose a record as a corrupt row is lost: its attachments stay."""
        del self._sandboxes[sandbox_id]

    async def load_sandboxes(self) -> list[Sandbox]:
        """All sandboxes."""
        self.failures.strike("load_sandboxes")
        return list(self._sandboxes.values())

    async def load_attachments(self) -> list[AttachmentRecord]:
        """All attachments."""
        self.failures.strike("load_attachments")
        return list(self._attachments.values())

    async def put_container(self, container: Container) -> None:
        """Write or replace a container; others run meanwhile, as with a real store."""
        self.failures.strike("put_container")
        await asyncio.sleep(0)
        self._containers[container.id] = container

    async def delete_container(self, container_id: str) -> None:
        """Forget a container."""
        self.failures.strike("delete_container")
        self._containers.pop(container_id, None)

    async def load_containers(self) -> list[Container]:
        """All containers."""
        self.failures.strike("load_containers")
        return list(self._containers.values())


def _check(sandboxes: dict[str, Sandbox], attachments: dict[_AttachmentKey, AttachmentRecord]) -> None:
    names = [sandbox.config.metadata.reservation for sandbox in sandboxes.values()]
    if len(set(names)) < len(names):
        raise AlreadyExistsError("the name is taken")
    if any(sandbox_id not in sandboxes for sandbox_id, _, _ in attachments):
        raise FailedPreconditionError("a record would refer to one that is not there")
