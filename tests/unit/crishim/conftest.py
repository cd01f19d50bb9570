"""Fixtures for the verbs of crishim on fakes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from crishim.core.tasks import TaskOwner
from crishim.testing.world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    owner = TaskOwner()
    yield World(owner)
    await owner.aclose()
