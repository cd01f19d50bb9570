"""All containers in memory, written through to storage before anyone can see a change."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from msgspec.structs import replace

from crishim.container.ports import Records
from crishim.core.errors import InvalidArgumentError, NotFoundError
from crishim.core.tasks import KeyedLock, TaskOwner
from crishim.model.container import Container, ContainerFilter, Event, State, advance


class ContainerIndex:
    """The containers by id, by sandbox and by reserved name. Those a sandbox needs for itself are not visible.

    Changes of one container wait for each other: its end may come while its start is being written. Of an infra
    container only that it runs is written: what was begun before is found by its bundle, and its end by its absence.
    That any other container runs is written a little later than it is shown.
    """

    def __init__(self, records: Records, owner: TaskOwner) -> None:
        self._records, self._owner = records, owner
        self._containers: dict[str, Container] = {}
        self._turns = KeyedLock()

    def load(self, containers: Iterable[Container]) -> None:
        """Take over what storage holds; only at start-up."""
        self._containers |= {container.id: container for container in containers}

    def all(self) -> list[Container]:
        """Every container, in no order."""
        return list(self._containers.values())

    def find(self, container_id: str) -> Container | None:
        """The container of exactly this id, if there is one."""
        return self._containers.get(container_id)

    def get(self, container_id: str) -> Container:
        """The container of exactly this id; raises NotFoundError."""
        try:
            return self._containers[container_id]
        except KeyError:
            raise NotFoundError(f"container {container_id} does not exist") from None

    def resolve(self, id_or_prefix: str) -> Container:
        """The visible container whose id is, or alone begins with, ``id_or_prefix``.

        Raises NotFoundError when there is none, InvalidArgumentError when there are several or nothing was given.
        """
        if not id_or_prefix:
            raise InvalidArgumentError("container_id: expected an id, found an empty string")
        exact = self._containers.get(id_or_prefix)
        if exact is not None and _visible(exact):
            return exact
        matches = [container for container in self.visible() if container.id.startswith(id_or_prefix)]
        if len(matches) > 1:
            raise InvalidArgumentError(f"container_id: {id_or_prefix} begins the ids of {len(matches)} containers")
        if not matches:
            raise NotFoundError(f"container {id_or_prefix} does not exist")
        return matches[0]

    def by_name(self, sandbox_id: str, name: str, attempt: int) -> Container | None:
        """The container that holds this name and attempt in its sandbox."""
        for container in self.of_sandbox(sandbox_id):
            if (container.config.metadata.name, container.config.metadata.attempt) == (name, attempt):
                return container
        return None

    def of_sandbox(self, sandbox_id: str) -> list[Container]:
        """Every container of a sandbox, also its infra container and those still being made."""
        return [container for container in self._containers.values() if container.sandbox_id == sandbox_id]

    def visible_of(self, sandbox_id: str) -> list[Container]:
        """The containers of a sandbox that CRI may see."""
        return list(filter(_visible, self.of_sandbox(sandbox_id)))

    def visible(self) -> Iterator[Container]:
        """The containers CRI may see."""
        return (container for container in self._containers.values() if _visible(container))

    def matching(self, wanted: ContainerFilter) -> list[Container]:
        """The containers that ``wanted`` matches, newest first."""
        found = [container for container in self.visible() if wanted.matches(container)]
        return sorted(found, key=lambda container: container.created_at, reverse=True)

    async def put(self, container: Container) -> None:
        """Write a record, then show it; for whoever makes the container, and alone knows it."""
        if not container.infra or container.state is State.RUNNING:
            await self._records.put_container(container)
        self._containers[container.id] = container

    async def change(self, container_id: str, **changes: object) -> Container:
        """Change what is known of a container, but for its state. Raises NotFoundError."""
        async with self._turns.hold(container_id):
            changed = replace(self.get(container_id), **changes)
            await self.put(changed)
            return changed

    async def advance(self, container_id: str, event: Event, **changes: object) -> Container:
        """Move a container along its state table, with whatever else changes then."""
        async with self._turns.hold(container_id):
            return await self._advance(self.get(container_id), event, changes)

    async def advance_from(
        self, states: Collection[State], container_id: str, event: Event, **changes: object
    ) -> Container | None:
        """As ``advance``, but None, and nothing happens, when the container is in none of ``states`` or gone."""
        async with self._turns.hold(container_id):
            container = self.find(container_id)
            if container is None or container.state not in states:
                return None
            return await self._advance(container, event, changes)

    async def begin(self, container_id: str, started_at: int) -> Container | None:
        """As ``advance_from`` CREATED by START, but it is written down behind the caller.

        Nothing is lost by that: after a crash the OCI runtime is asked whether a container that was created runs.
        """
        async with self._turns.hold(container_id):
            container = self.find(container_id)
            if container is None or container.state is not State.CREATED:
                return None
            state = advance(container_id, container.state, Event.START)
            running = self._containers[container_id] = replace(container, state=state, started_at=started_at)
        self._owner.spawn(f"record start {container_id}", self._write(container_id))
        return running

    async def drop(self, container_id: str) -> None:
        """Forget a container of which nothing is left."""
        async with self._turns.hold(container_id):
            await self._records.delete_container(container_id)
            self._containers.pop(container_id, None)

    async def _write(self, container_id: str) -> None:
        """Write what is known by now."""
        async with self._turns.hold(container_id):
            if container := self.find(container_id):
                await self._records.put_container(container)

    async def _advance(self, container: Container, event: Event, changes: Mapping[str, object]) -> Container:
        moved = replace(container, state=advance(container.id, container.state, event), **changes)
        if moved != container:
            await self.put(moved)
        return moved


def _visible(container: Container) -> bool:
    return not container.infra and container.state is not State.CREATING
