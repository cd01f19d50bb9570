"""A first client that comes while the server has run out of something."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

import anyio
import pytest
from anyio import to_thread

from cni_runtime.testing.shortage import no_threads_left

pytestmark = pytest.mark.anyio


async def test_it_is_served_when_there_are_threads_again(exec_url: Callable[..., str]) -> None:
    url, held = urlsplit(exec_url("true")), threading.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(to_thread.run_sync, held.wait, 5.0))  # in the thread that the server has used so far
        await anyio.sleep(0.05)
        with no_threads_left():
            client = await anyio.connect_tcp("127.0.0.1", url.port or 0)
            await anyio.sleep(0.1)
        held.set()
        async with client:
            await client.send(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n")
            with anyio.fail_after(5):
                assert b" 404 " in await client.receive()
