"""Tokens: once, soon, for one kind of request, and not too many."""

import pytest

from crishim.core.errors import NotFoundError
from crishim.model.stream import AttachStream, ExecStream
from crishim.streaming.errors import TooManyTokensError
from crishim.streaming.tokens import LIFETIME, LIMIT, TokenStore

EXEC = ExecStream(container_id="c1", command=("sh",))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> TokenStore:
    return TokenStore(clock)


def test_a_token_is_good_once(tokens: TokenStore) -> None:
    token = tokens.make(EXEC)
    assert tokens.take(token, ExecStream) is EXEC
    with pytest.raises(NotFoundError):
        tokens.take(token, ExecStream)


def test_a_token_is_good_for_a_minute(tokens: TokenStore, clock: Clock) -> None:
    first = tokens.make(EXEC)
    clock.now += LIFETIME - 1
    second = tokens.make(EXEC)
    clock.now += 1
    with pytest.raises(NotFoundError):
        tokens.take(first, ExecStream)
    assert tokens.take(second, ExecStream) is EXEC


def test_a_token_is_good_for_what_it_was_made_for(tokens: TokenStore) -> None:
    token = tokens.make(EXEC)
    with pytest.raises(NotFoundError):
        tokens.take(token, AttachStream)
    assert tokens.take(token, ExecStream) is EXEC


def test_tokens_cannot_be_guessed(tokens: TokenStore) -> None:
    made = {tokens.make(EXEC) for _ in range(100)}
    assert len(made) == 100
    assert {len(token) for token in made} == {43}  # 256 bits


def test_there_is_a_limit_until_some_expire(tokens: TokenStore, clock: Clock) -> None:
    for _ in range(LIMIT):
        tokens.make(EXEC)
    with pytest.raises(TooManyTokensError, match=str(LIMIT)):
        tokens.make(EXEC)
    clock.now += LIFETIME
    assert tokens.make(EXEC)
