"""One exec or attach: the process on one side, the client's channels on the other, and what is copied between.

Everything the process writes is sent before how it ended, and the error channel is closed last.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress

import anyio
import structlog
from msgspec import Struct

from crishim.core.errors import CrishimError
from crishim.model.stream import AttachStream, ExecStream, Output
from crishim.streaming.channel import Sink, Source
from crishim.streaming.errors import PeerGoneError, StreamResetError
from crishim.streaming.ports import Session
from crishim.streaming.remotecommand.resize import SizeDecoder
from crishim.streaming.remotecommand.status import Ending, encode

_log = structlog.get_logger(__name__)


class Channels(Struct, frozen=True, kw_only=True):
    """What a client has opened. ``structured``: how the command ended is told as an object, not as text."""

    error: Sink
    stdin: Source | None = None
    outputs: dict[Output, Sink]
    resize: Source | None = None
    structured: bool


class Job(Struct, frozen=True):
    """What is to be served: a request, how to begin with it, and the words for that when it fails."""

    request: ExecStream | AttachStream
    start: Callable[[], Awaitable[Session]]
    doing: str


async def run(job: Job, channels: Channels) -> None:
    """Start the session and serve it to its end. Cancelled when the client goes away, it closes the session too."""
    try:
        ending = await _start_and_serve(job, channels)
    except CrishimError as error:
        _log.info("stream failed", doing=job.doing, error=str(error))
        ending = Ending(error=f"error {job.doing}: {error}")
    except Exception as error:  # a bug; the client must not wait for ever for its answer
        _log.error("stream failed", doing=job.doing, exc_info=error)
        ending = Ending(error=f"error {job.doing}: for a reason that only the server's log tells")
    with suppress(PeerGoneError, StreamResetError):
        await _report(channels, ending)


async def _start_and_serve(job: Job, channels: Channels) -> Ending:
    session = await job.start()
    try:
        async with anyio.create_task_group() as copying:
            copying.start_soon(_copy_stdin, session, channels.stdin)
            copying.start_soon(_copy_sizes, session, channels.resize)
            outcome = await _copy_output(session, channels)
            copying.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await session.aclose()
    if isinstance(outcome, CrishimError):
        raise outcome
    return Ending(outcome)


async def _copy_output(session: Session, channels: Channels) -> int | CrishimError:
    """The exit code; an error is returned, since a task group would wrap it."""
    sinks = dict(channels.outputs)
    try:
        async with aclosing(session.output()) as chunks:
            async for output, data in chunks:
                if sink := sinks.get(output):
                    try:
                        await sink.write(data)
                    except StreamResetError:  # the client does not want this stream any more
                        del sinks[output]
        return await session.wait()
    except CrishimError as error:
        return error


async def _copy_stdin(session: Session, stdin: Source | None) -> None:
    if stdin is None:
        return
    try:
        with suppress(StreamResetError):
            while data := await stdin.read():
                await session.write_stdin(data)
        await session.close_stdin()
    except PeerGoneError:
        return
    except (BrokenPipeError, CrishimError) as error:
        _log.debug("input is no longer read", error=str(error))
        stdin.discard()


async def _copy_sizes(session: Session, resize: Source | None) -> None:
    if resize is None:
        return
    decoder = SizeDecoder()
    try:
        while data := await resize.read():
            if sizes := decoder.feed(data):
                await session.resize(*sizes[-1])
    except (StreamResetError, PeerGoneError):
        return
    except CrishimError as error:
        _log.info("the terminal is no longer resized", error=str(error))
        resize.discard()


async def _report(channels: Channels, ending: Ending) -> None:
    await channels.error.write(encode(ending, structured=channels.structured))
    for sink in channels.outputs.values():
        await sink.close()
    await channels.error.close()
