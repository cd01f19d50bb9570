"""The container domain on fakes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from crishim.core.tasks import TaskOwner
from crishim.testing.container_world import ContainerWorld


@pytest.fixture
async def world() -> AsyncIterator[ContainerWorld]:
    owner = TaskOwner()
    yield ContainerWorld(owner)
    await owner.aclose()
