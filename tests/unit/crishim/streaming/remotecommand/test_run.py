"""Serving a process's streams to channels, whatever either side does."""

import json
from functools import partial

import anyio
import anyio.lowlevel
import pytest

from crishim.core.errors import UnavailableError
from crishim.model.stream import ExecStream, Output
from crishim.streaming.errors import PeerGoneError, StreamResetError
from crishim.streaming.inbox import Inbox
from crishim.streaming.remotecommand.run import Channels, Job, run
from crishim.testing.streams import FakeExec

pytestmark = pytest.mark.anyio


class FakeChannel:
    """Remembers what was written; ``order`` is shared by all channels of a case."""

    def __init__(self, name: str, order: list[str]) -> None:
        self._name, self._order = name, order
        self.inbox = Inbox(lambda _: None)
        self.written = b""
        self.error: Exception | None = None
        self.discarded = False

    async def read(self) -> bytes:
        return await self.inbox.read()

    def discard(self) -> None:
        self.discarded = True
        self.inbox.discard()

    async def write(self, data: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        if self.error:
            raise self.error
        self.written += data
        self._order.append(f"write {self._name}")

    async def close(self) -> None:
        self._order.append(f"close {self._name}")


class Case:
    """Channels, and fake programs to run on them."""

    def __init__(self) -> None:
        self.order: list[str] = []
        names = ("error", "stdin", "stdout", "stderr", "resize")
        self.error, self.stdin, self.stdout, self.stderr, self.resize = (FakeChannel(n, self.order) for n in names)
        self.exec = FakeExec()

    async def run(self, *command: str, structured: bool = True) -> None:
        channels = Channels(
            error=self.error,
            stdin=self.stdin,
            outputs={Output.STDOUT: self.stdout, Output.STDERR: self.stderr},
            resize=self.resize,
            structured=structured,
        )
        request = ExecStream(container_id="c1", command=command)
        with anyio.fail_after(5):
            await run(Job(request, partial(self.exec.start, request), "executing"), channels)

    @property
    def status(self) -> dict[str, object]:
        decoded: dict[str, object] = json.loads(self.error.written)
        return decoded


@pytest.fixture
def case() -> Case:
    return Case()


async def test_output_comes_before_the_status_and_ends_before_the_error_channel(case: Case) -> None:
    await case.run("echo", "hello")
    assert case.stdout.written == b"hello\n"
    assert case.order == ["write stdout", "write error", "close stdout", "close stderr", "close error"]
    assert case.status == {"status": "Success"}


async def test_the_error_output_has_a_channel_of_its_own(case: Case) -> None:
    await case.run("complain", "oh")
    assert [case.stdout.written, case.stderr.written] == [b"", b"oh\n"]


async def test_input_and_its_end(case: Case) -> None:
    case.stdin.inbox.feed(b"one ")
    case.stdin.inbox.feed(b"two")
    case.stdin.inbox.end()
    await case.run("cat")
    assert case.stdout.written == b"one two"


async def test_an_input_channel_that_is_reset_is_at_its_end(case: Case) -> None:
    case.stdin.inbox.feed(b"all")
    case.stdin.inbox.fail(StreamResetError("reset"))
    await case.run("cat")
    assert case.stdout.written == b"all"


async def test_a_client_that_is_gone_has_not_ended_its_input(case: Case) -> None:
    case.stdin.inbox.fail(PeerGoneError("gone"))
    with anyio.move_on_after(0.05) as waiting:
        await case.run("cat")
    assert waiting.cancelled_caught
    assert case.exec.sessions[0].how_it_ended == "killed"


async def test_input_that_nobody_reads_is_thrown_away(case: Case) -> None:
    for _ in range(5):
        case.stdin.inbox.feed(b"x")
    await case.run("deaf", "0.02")
    assert case.stdout.written == b"heard nothing\n"
    assert case.status == {"status": "Success"}


async def test_exit_codes(case: Case) -> None:
    await case.run("leave", "3")
    assert case.status["details"] == {"causes": [{"reason": "ExitCode", "message": "3"}]}


async def test_the_last_size_counts(case: Case) -> None:
    case.resize.inbox.feed(b'{"Width":1,"Height":2}{"Width":80,"Height":24}')
    await case.run("measure")
    assert case.stdout.written == b"80x24\n"


async def test_nonsense_instead_of_a_size_is_not_the_end(case: Case) -> None:
    case.resize.inbox.feed(b"[]")
    await case.run("echo", "still here")
    assert case.stdout.written == b"still here\n"


async def test_a_command_that_cannot_be_started(case: Case) -> None:
    await case.run("nonsense")
    assert case.status["message"] == ("Internal error occurred: error executing: exec 'nonsense': not found in $PATH")


async def test_a_failure_as_text(case: Case) -> None:
    await case.run("nonsense", structured=False)
    assert case.error.written == b"error executing: exec 'nonsense': not found in $PATH"


async def test_a_bug_is_not_shown_to_the_client(case: Case) -> None:
    case.exec.error = ZeroDivisionError("secret")
    await case.run("echo")
    assert b"secret" not in case.error.written
    assert case.status["code"] == 500


async def test_an_error_of_the_session_while_it_runs(case: Case) -> None:
    async def fail(_: object) -> int:
        raise UnavailableError("the monitor is gone")

    case.exec.programs["fail"] = fail
    await case.run("fail")
    assert case.status["message"] == "Internal error occurred: error executing: the monitor is gone"
    assert case.exec.sessions[0].closed.is_set()


async def test_a_client_that_does_not_want_one_output(case: Case) -> None:
    case.stdout.error = StreamResetError("reset")
    await case.run("leave", "0")
    assert case.status == {"status": "Success"}


async def test_a_client_that_is_gone_when_it_is_told(case: Case) -> None:
    case.error.error = PeerGoneError("gone")
    await case.run("echo")
    assert case.exec.sessions[0].how_it_ended == "by itself"


async def test_being_cancelled_kills_the_command(case: Case) -> None:
    with anyio.move_on_after(0.05):
        await case.run("sleep")
    assert case.exec.sessions[0].how_it_ended == "killed"
