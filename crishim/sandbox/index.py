"""All sandboxes and attachments in memory, written through to storage before anyone can see a change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from crishim.core.errors import InvalidArgumentError, NotFoundError
from crishim.core.tasks import KeyedLock
from crishim.model.attachment import AttachmentRecord
from crishim.model.sandbox import Event, Sandbox, SandboxFilter, State, advance
from crishim.sandbox.ports import Records

_AttachmentKey = tuple[str, str]


class SandboxIndex:
    """The sandboxes by id and by reserved name, and their attachments. Changes of one sandbox wait for each other."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._sandboxes: dict[str, Sandbox] = {}
        self._names: dict[str, str] = {}
        self._turns = KeyedLock()
        self._attachments: dict[str, dict[_AttachmentKey, AttachmentRecord]] = {}

    def load(self, sandboxes: Iterable[Sandbox], attachments: Iterable[AttachmentRecord]) -> None:
        """Take over what storage holds; only at start-up."""
        for sandbox in sandboxes:
            self._show(sandbox)
        for record in attachments:
            self._show(record)

    def all(self) -> list[Sandbox]:
        """Every sandbox, in no order."""
        return list(self._sandboxes.values())

    def find(self, sandbox_id: str) -> Sandbox | None:
        """The sandbox of exactly this id, if there is one."""
        return self._sandboxes.get(sandbox_id)

    def get(self, sandbox_id: str) -> Sandbox:
        """The sandbox of exactly this id; raises NotFoundError."""
        try:
            return self._sandboxes[sandbox_id]
        except KeyError:
            raise NotFoundError(f"pod sandbox {sandbox_id} does not exist") from None

    def resolve(self, id_or_prefix: str) -> Sandbox:
        """The sandbox whose id is, or alone begins with, ``id_or_prefix``; one still being made is not there yet.

        Raises NotFoundError when there is none, InvalidArgumentError when there are several or nothing was given.
        """
        if not id_or_prefix:
            raise InvalidArgumentError("pod_sandbox_id: expected an id, found an empty string")
        exact = self._sandboxes.get(id_or_prefix)
        if exact is not None and exact.state is not State.CREATING:
            return exact
        matches = [sandbox for sandbox in self._visible() if sandbox.id.startswith(id_or_prefix)]
        if len(matches) > 1:
            raise InvalidArgumentError(f"pod_sandbox_id: {id_or_prefix} begins the ids of {len(matches)} sandboxes")
        if not matches:
            raise NotFoundError(f"pod sandbox {id_or_prefix} does not exist")
        return matches[0]

    def by_name(self, reservation: str) -> Sandbox | None:
        """The sandbox that holds this reserved name."""
        sandbox_id = self._names.get(reservation)
        return self._sandboxes[sandbox_id] if sandbox_id else None

    def matching(self, wanted: SandboxFilter) -> list[Sandbox]:
        """The sandboxes that ``wanted`` matches, newest first; one that is still being made is not there yet."""
        found = [sandbox for sandbox in self._visible() if wanted.matches(sandbox)]
        return sorted(found, key=lambda sandbox: sandbox.created_at, reverse=True)

    def successor(self, former: Sandbox) -> Sandbox | None:
        """The newest sandbox of the pod that ``former`` is of, if that was made later."""
        later = (each for each in self._visible() if each.created_at > former.created_at)
        of_the_pod = (each for each in later if each.config.metadata.pod == former.config.metadata.pod)
        return max(of_the_pod, key=lambda each: each.created_at, default=None)

    def orphans(self) -> set[str]:
        """Ids of sandboxes that have attachments but no record of their own, because it was lost."""
        return self._attachments.keys() - self._sandboxes.keys()

    def attachments(self, sandbox_id: str) -> list[AttachmentRecord]:
        """The attachments of one sandbox, in the order they were recorded."""
        return list(self._attachments.get(sandbox_id, {}).values())

    async def put(self, *records: Sandbox | AttachmentRecord, without: Sequence[AttachmentRecord] = ()) -> None:
        """Write records and forget the attachments ``without`` in one transaction, then show it."""
        await self._records.put(*records, without=without)
        for record in records:
            self._show(record)
        for gone in without:
            self._hide(gone)

    def note(self, sandbox: Sandbox) -> None:
        """Show a change that is not written, since a new server comes to the same without it."""
        self._show(sandbox)

    async def advance(
        self,
        sandbox_id: str,
        event: Event,
        *,
        reason: str | None = None,
        without: Sequence[AttachmentRecord] = (),
    ) -> Sandbox:
        """Move a sandbox along its state table, and forget the attachments ``without`` in the same transaction.

        ``reason`` None keeps the reason it has.
        """
        async with self._turns.hold(sandbox_id):
            sandbox = self.get(sandbox_id)
            state = advance(sandbox_id, sandbox.state, event)
            moved = replace(sandbox, state=state, reason=sandbox.reason if reason is None else reason)
            if moved != sandbox or without:
                await self.put(moved, without=without)
            return moved

    async def change(self, sandbox_id: str, **changes: object) -> Sandbox:
        """Change what is known of a sandbox, but for its state. Raises NotFoundError."""
        async with self._turns.hold(sandbox_id):
            changed = replace(self.get(sandbox_id), **changes)
            await self.put(changed)
            return changed

    async def drop(self, sandbox_id: str) -> None:
        """Forget a sandbox of which nothing is left, and free its name."""
        async with self._turns.hold(sandbox_id):
            await self._records.delete_sandbox(sandbox_id)
            sandbox = self._sandboxes.pop(sandbox_id)
            self._names.pop(sandbox.config.metadata.reservation, None)
            self._attachments.pop(sandbox_id, None)

    def _hide(self, gone: AttachmentRecord) -> None:
        left = self._attachments.get(gone.sandbox_id, {})
        left.pop((gone.network, gone.ifname), None)
        if not left:
            self._attachments.pop(gone.sandbox_id, None)

    def _visible(self) -> Iterator[Sandbox]:
        return (sandbox for sandbox in self._sandboxes.values() if sandbox.state is not State.CREATING)

    def _show(self, record: Sandbox | AttachmentRecord) -> None:
        if isinstance(record, Sandbox):
            self._sandboxes[record.id] = record
            self._names[record.config.metadata.reservation] = record.id
        else:
            self._attachments.setdefault(record.sandbox_id, {})[record.network, record.ifname] = record
