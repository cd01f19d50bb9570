"""What waits to be read on a channel."""

import anyio
import pytest

from crishim.streaming.inbox import Inbox

pytestmark = pytest.mark.anyio


class Case:
    """An inbox and how many bytes have left it."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.inbox = Inbox(self.taken.append)


@pytest.fixture
def case() -> Case:
    return Case()


async def test_chunks_and_the_end(case: Case) -> None:
    case.inbox.feed(b"one")
    case.inbox.feed(b"two")
    case.inbox.end()
    assert [await case.inbox.read() for _ in range(4)] == [b"one", b"two", b"", b""]
    assert case.taken == [3, 3]


async def test_a_reader_waits(case: Case) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 0)
        case.inbox.end()
        assert await case.inbox.read() == b""


async def test_an_error_comes_after_what_was_there(case: Case) -> None:
    case.inbox.feed(b"last")
    case.inbox.fail(OSError("gone"))
    case.inbox.fail(OSError("a later reason"))
    assert await case.inbox.read() == b"last"
    with pytest.raises(OSError, match="gone"):
        await case.inbox.read()


async def test_discarding_counts_as_taking(case: Case) -> None:
    case.inbox.feed(b"one")
    case.inbox.discard()
    case.inbox.feed(b"four")
    assert case.taken == [3, 4]


async def test_nothing_is_kept_after_the_end(case: Case) -> None:
    case.inbox.end()
    case.inbox.feed(b"late")
    assert await case.inbox.read() == b""
    assert case.taken == [4]
