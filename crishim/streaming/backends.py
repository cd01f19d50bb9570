"""Sessions of the streaming server on the streams of real containers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any

import anyio

from crishim.container.exec import Exec
from crishim.core.errors import FailedPreconditionError
from crishim.drivers.conmon.attach import Attachment, Stream
from crishim.drivers.oci.driver import OciDriver
from crishim.drivers.oci.exec_streams import ExecSession, Wanted
from crishim.model.container import Container
from crishim.model.stream import AttachStream, ExecStream, Output

# What a command left behind may hold its streams open for ever; after its end we wait this long for more of them.
DRAIN_SECONDS = 0.5

_Chunk = tuple[Output, bytes]
_QUIET: _Chunk = (Output.STDOUT, b"")  # recognised by its identity


class Commands:
    """Runs commands in containers."""

    def __init__(self, execute: Exec, driver: OciDriver) -> None:
        self._execute, self._driver = execute, driver

    async def start(self, request: ExecStream) -> CommandSession:
        """See ``ports.ExecBackend``."""
        container = self._execute.running(request.container_id)
        process = self._execute.process(container, request.command, tty=request.tty)
        wanted = Wanted(tty=request.tty, stdin=request.stdin, stdout=request.stdout, stderr=request.stderr)
        session = await self._driver.exec_streams(container, process, wanted)
        return CommandSession(session)


class Attachments:
    """Joins the streams of containers."""

    def __init__(self, execute: Exec, driver: OciDriver) -> None:
        self._execute, self._driver = execute, driver

    async def attach(self, request: AttachStream) -> AttachedSession:
        """See ``ports.AttachBackend``."""
        container = self._execute.running(request.container_id)
        return AttachedSession(request, container, self._driver, await self._driver.attach(container))


class CommandSession:
    """The streams of a command; see ``ports.Session``."""

    def __init__(self, session: ExecSession, drain_seconds: float = DRAIN_SECONDS) -> None:
        self._session, self._drain_seconds = session, drain_seconds

    async def output(self) -> AsyncGenerator[_Chunk, None]:
        """Both streams as they come, until they end or the command has, with nothing more to be read."""
        queue: asyncio.Queue[_Chunk | None] = asyncio.Queue(1)
        ended = asyncio.create_task(self._session.wait(), name="exec end")
        streams = {Output.STDOUT: self._session.stdout, Output.STDERR: self._session.stderr}
        pumps = [
            asyncio.create_task(_pump(kind, stream, queue), name=f"exec {kind}")
            for kind, stream in streams.items()
            if stream is not None
        ]
        try:
            open_streams = len(pumps)
            while open_streams and (chunk := await _next(queue, ended, self._drain_seconds)) is not _QUIET:
                if chunk is None:
                    open_streams -= 1
                else:
                    yield chunk
            for pump in pumps:
                if pump.done():
                    pump.result()
        finally:
            await _cancel(ended, *pumps)

    async def write_stdin(self, data: bytes) -> None:
        """Hand input to the command; raises BrokenPipeError when nobody reads it."""
        if self._session.stdin is None or not await self._session.stdin.send(data):
            raise BrokenPipeError("the command takes no more input")

    async def close_stdin(self) -> None:
        """No more input."""
        if self._session.stdin is not None:
            self._session.stdin.end()

    async def resize(self, width: int, height: int) -> None:
        """Set the size of the terminal."""
        self._session.resize(width, height)

    async def wait(self) -> int:
        """The exit code."""
        return await self._session.wait()

    async def aclose(self) -> None:
        """Give everything back; a command that runs is killed."""
        await self._session.aclose()


class AttachedSession:
    """The streams of a container's first process; see ``ports.Session``."""

    def __init__(self, request: AttachStream, container: Container, driver: OciDriver, attachment: Attachment) -> None:
        self._request, self._container, self._driver, self._attachment = request, container, driver, attachment

    async def output(self) -> AsyncGenerator[_Chunk, None]:
        """The wanted streams, until the container ends."""
        kinds = {Stream.STDOUT: Output.STDOUT, Stream.STDERR: Output.STDERR}
        wanted = {Output.STDOUT: self._request.stdout, Output.STDERR: self._request.stderr}
        async for stream, data in self._attachment:
            if data and wanted[kinds[stream]]:
                yield kinds[stream], data

    async def write_stdin(self, data: bytes) -> None:
        """Hand input to the container; raises BrokenPipeError when it has ended."""
        try:
            await self._attachment.send(data)
        except FailedPreconditionError as error:
            raise BrokenPipeError(str(error)) from error

    async def close_stdin(self) -> None:
        """No more input from this client, who stays for the output only if the container's own input ends with it.

        So can a client leave a terminal by the keys for that, of which the server sees nothing but this end.
        """
        config = self._container.config
        if config.stdin_once and not config.tty:
            self._attachment.end_input()
        else:
            self._attachment.hang_up()

    async def resize(self, width: int, height: int) -> None:
        """Set the size of the container's terminal."""
        if self._container.config.tty:
            await self._driver.resize(self._container, width, height)

    async def wait(self) -> int:
        """Nothing a client asks for."""
        return 0

    async def aclose(self) -> None:
        """Leave; the container goes on."""
        self._attachment.close()


async def _pump(kind: Output, stream: AsyncIterable[bytes], queue: asyncio.Queue[_Chunk | None]) -> None:
    """Pass one stream on, one chunk at a time, as fast as they are taken, and None at its end."""
    try:
        async for chunk in stream:
            await queue.put((kind, chunk))
    except OSError:
        await queue.put(None)
        raise
    await queue.put(None)


async def _next(queue: asyncio.Queue[_Chunk | None], ended: asyncio.Task[int], seconds: float) -> _Chunk | None:
    """The next chunk, or _QUIET when the command has ended and nothing has come for some seconds.

    Time counts only while somebody waits for a chunk: a slow reader loses nothing.
    """
    if not queue.empty():
        return queue.get_nowait()
    getting = asyncio.create_task(queue.get(), name="exec output")
    try:
        await asyncio.wait([getting, ended], return_when=asyncio.FIRST_COMPLETED)
        if not getting.done():
            await asyncio.wait([getting], timeout=seconds)
        return getting.result() if getting.done() else _QUIET
    finally:
        getting.cancel()


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their end: a descriptor may not be closed while one still watches it."""
    for task in tasks:
        task.cancel()
    with anyio.CancelScope(shield=True):
        await asyncio.gather(*tasks, return_exceptions=True)
