"""What streaming needs of the rest of the program, as Protocols."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from msgspec import Struct

from crishim.model.container import Container
from crishim.model.sandbox import Sandbox
from crishim.model.stream import AttachStream, ExecStream, Output


class Session(Protocol):
    """The streams of a process. One task at a time calls each method; different methods run at the same time.

    Every method may raise a CrishimError whose message can be shown to the client.
    """

    def output(self) -> AsyncGenerator[tuple[Output, bytes], None]:
        """What the process writes, in chunks that are not empty; up to 64 KiB is good, more is no error.

        Nothing is read from the process while the caller does not ask for more. The end: everything that
        belongs to the session has been written, which a process that was left behind must not hold off.
        A stream that was not asked for is not yielded. Iterated once, and closed before ``aclose``.
        """
        ...

    async def write_stdin(self, data: bytes) -> None:
        """Hand ``data`` to the process, waiting while it does not read.

        Raises BrokenPipeError when nobody will read it any more. A cancelled call may have written a part.
        """
        ...

    async def close_stdin(self) -> None:
        """Tell the process, or what stands for it, that no more input follows. Idempotent.

        The output of a command goes on; that of an attached container may end with it.
        """
        ...

    async def resize(self, width: int, height: int) -> None:
        """Set the size of the terminal, in characters; without a terminal nothing happens."""
        ...

    async def wait(self) -> int:
        """Called after the end of ``output``: the exit code of a command, 128 + signal for a signal.

        0 for an attached container: its exit code is nothing the client asks for.
        """
        ...

    async def aclose(self) -> None:
        """Give back whatever the session holds; called always and last, possibly in the middle of everything.

        A command that still runs is killed with all that it started; an attached container is left alone.
        Idempotent.
        """
        ...


class ExecBackend(Protocol):
    """Runs commands in containers."""

    async def start(self, request: ExecStream) -> Session:
        """Start the command. Raises a CrishimError that says why it could not be; a cancelled call leaves nothing."""
        ...


class AttachBackend(Protocol):
    """Reaches the streams of containers that run."""

    async def attach(self, request: AttachStream) -> Session:
        """Join the streams of the container; as ``ExecBackend.start``. Any number of sessions share a container."""
        ...


class PodConnection(Protocol):
    """A connection to a port of a pod. One task reads, one writes; what the kernel reports is raised as OSError."""

    async def read(self) -> bytes:
        """Some bytes, up to 128 KiB, or none at the end."""
        ...

    async def write(self, data: bytes) -> None:
        """Send all of ``data``, waiting while nobody reads."""
        ...

    def end(self) -> None:
        """Send no more; the other direction goes on."""
        ...

    def close(self) -> None:
        """End both directions. Not to be called while a task reads or writes."""
        ...


class PodDialer(Protocol):
    """Connects to ports inside network namespaces."""

    async def connect(self, netns: str | None, port: int) -> PodConnection:
        """A connection to ``port`` on localhost, IPv4 first, inside the namespace pinned at ``netns``.

        None: the namespace of the node. Raises UnavailableError when neither address accepts.
        """
        ...


class Containers(Protocol):
    """The containers of the node."""

    def get(self, container_id: str) -> Container:
        """The container with this id or unique beginning of one; raises NotFoundError."""
        ...


class Sandboxes(Protocol):
    """The pod sandboxes of the node."""

    def get(self, sandbox_id: str) -> Sandbox:
        """The sandbox with this id or unique beginning of one; raises NotFoundError."""
        ...


class Backends(Struct, frozen=True, kw_only=True):
    """What is at the other end of the streams."""

    exec: ExecBackend
    attach: AttachBackend
    dialer: PodDialer
    containers: Containers
    sandboxes: Sandboxes
