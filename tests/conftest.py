"""Shared by every kind of test: asynchronous tests run on asyncio, the backend the server uses."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
