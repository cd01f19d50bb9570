"""Exec over SPDY, with the versions of the protocol that clients speak."""

import json
from collections.abc import Awaitable, Callable, Sequence

import anyio
import pytest

from crishim.model.stream import ExecStream
from crishim.streaming.errors import StreamResetError
from crishim.streaming.service import Streams
from crishim.streaming.spdy.mux import Mux
from crishim.streaming.spdy.stream import Stream
from crishim.testing.stream_client import spdy, spdy_headers, upgraded

pytestmark = pytest.mark.anyio

MakeUrl = Callable[..., str]
Start = Callable[..., Awaitable[Streams]]
ALL = ("error", "stdin", "stdout", "stderr")


def open_all(mux: Mux, kinds: Sequence[str] = ALL) -> list[Stream]:
    return [mux.open({"streamtype": kind}) for kind in kinds]


async def read_all(stream: Stream) -> bytes:
    parts = []
    while data := await stream.read():
        parts.append(data)
    return b"".join(parts)


async def write_all(stream: Stream, data: bytes) -> None:
    await stream.write(data)
    await stream.close()


async def run(url: str, stdin: bytes = b"", version: str = "v4.channel.k8s.io") -> tuple[bytes, bytes, bytes]:
    """Output, error output, and what the error channel said."""
    with anyio.fail_after(10):
        async with spdy(url, version) as mux, anyio.create_task_group() as sending:
            error, send, stdout, stderr = open_all(mux)
            sending.start_soon(write_all, send, stdin)
            return await read_all(stdout), await read_all(stderr), await read_all(error)
    raise AssertionError("the connection ended early")


async def test_output(exec_url: MakeUrl) -> None:
    assert await run(exec_url("echo", "hello")) == (b"hello\n", b"", b'{"status":"Success"}')


async def test_error_output(exec_url: MakeUrl) -> None:
    assert await run(exec_url("complain", "oh")) == (b"", b"oh\n", b'{"status":"Success"}')


async def test_input(exec_url: MakeUrl) -> None:
    data = bytes(range(256)) * 10_000
    assert (await run(exec_url("cat"), data))[0] == data


async def test_exit_code(exec_url: MakeUrl) -> None:
    output, _, status = await run(exec_url("leave", "42"))
    assert output == b"bye\n"
    assert json.loads(status)["details"]["causes"] == [{"reason": "ExitCode", "message": "42"}]


@pytest.mark.parametrize("version", ["v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"])
async def test_older_versions_tell_failures_as_text(exec_url: MakeUrl, version: str) -> None:
    assert await run(exec_url("echo"), version=version) == (b"\n", b"", b"")
    _, _, text = await run(exec_url("leave", "42"), version=version)
    assert text == b"command terminated with non-zero exit code 42"


async def test_a_command_that_cannot_be_started(exec_url: MakeUrl) -> None:
    _, _, status = await run(exec_url("nonsense"))
    expected = "Internal error occurred: error executing command in container: exec 'nonsense': not found in $PATH"
    assert json.loads(status)["message"] == expected


@pytest.mark.parametrize(("version", "resizes"), [("v4.channel.k8s.io", True), ("v2.channel.k8s.io", False)])
async def test_a_terminal(exec_url: MakeUrl, version: str, resizes: bool) -> None:
    program = ["measure"] if resizes else ["echo", "80x24"]
    async with spdy(exec_url(*program, stderr=False, tty=True), version) as mux:
        streams = open_all(mux, ("error", "stdin", "stdout", *(["resize"] if resizes else [])))
        if resizes:
            await streams[3].write(b'{"Width":80,"Height":24}\n')
        output = await read_all(streams[2])
    assert output == b"80x24\n"


async def test_streams_may_come_in_any_order(exec_url: MakeUrl) -> None:
    async with spdy(exec_url("echo", "hello")) as mux:
        streams = open_all(mux, ALL[::-1])
        output = await read_all(streams[1])
    assert output == b"hello\n"


@pytest.mark.parametrize("headers", [{}, {"streamtype": "nonsense"}, {"streamtype": "stdout"}])
async def test_streams_that_are_refused(exec_url: MakeUrl, headers: dict[str, str]) -> None:
    async with spdy(exec_url("sleep")) as mux:
        open_all(mux, ["stdout"])
        with pytest.raises(StreamResetError):
            await mux.open(headers).read()


async def test_a_stream_that_was_not_asked_for_ends_with_the_others(exec_url: MakeUrl) -> None:
    async with spdy(exec_url("echo", "hello", stderr=False)) as mux:
        streams = open_all(mux)
        await streams[3].write(bytes(2 * 1024 * 1024))  # nobody reads it, and nobody is held up by it
        outputs = [await read_all(stream) for stream in streams[2:]]
    assert outputs == [b"hello\n", b""]


async def test_the_server_closes_the_connection_in_the_end(exec_url: MakeUrl) -> None:
    with anyio.fail_after(5):
        async with spdy(exec_url("echo")) as mux:
            for stream in open_all(mux):
                await stream.close()
            await anyio.sleep_forever()
    assert mux.over


async def test_who_opens_too_few_streams_is_told(start: Start) -> None:
    impatient = await start(creation_timeout=0.1)
    url = impatient.exec(ExecStream(container_id="c0", command=("echo",), stdin=True, stdout=True))
    async with spdy(url) as mux:
        (error,) = open_all(mux, ["error"])
        status = json.loads(await read_all(error))
    assert "has not opened its stdin, stdout within 0.1 s" in status["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 400),
        (spdy_headers(), 400),
        (spdy_headers("v9.channel.k8s.io"), 403),
        (
            [
                *spdy_headers("v4.channel.k8s.io")[:2],
                ("X-Stream-Protocol-Version", "v4.channel.k8s.io"),
                ("Content-Length", "5"),
            ],
            400,
        ),
    ],
)
async def test_requests_that_are_refused_leave_the_token_good(
    exec_url: MakeUrl, headers: list[tuple[str, str]], status: int
) -> None:
    url = exec_url("echo", "hello")
    async with upgraded(url, headers) as (answer, _, _):
        assert answer.status == status
    assert (await run(url))[0] == b"hello\n"


@pytest.mark.parametrize("change", [lambda url: url, lambda url: url + "x", lambda url: url.replace("exec", "attach")])
async def test_a_url_is_good_once_and_for_one_thing(exec_url: MakeUrl, change: Callable[[str], str]) -> None:
    url = exec_url("echo")
    await run(url)
    async with upgraded(change(url), spdy_headers("v4.channel.k8s.io")) as (answer, _, _):
        assert answer.status == 404
