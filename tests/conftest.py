"""Shared by every kind of test: asynchronous tests run on asyncio, the backend the server uses."""

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _devices_stay_as_they_are() -> Iterator[None]:
    """A throw-away host has the machine's own."""
    before = _null()
    yield
    assert _null() == before, "a test has changed /dev/null"


def _null() -> tuple[int, int, int]:
    status = Path("/dev/null").stat()
    return status.st_uid, status.st_gid, status.st_mode
