"""Each test here runs containers under crun, and again under runc."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crishim.drivers.host_facts import gather
from hack.hugetlb import mount_hugetlb
from tests.netns.containers.oci import Bundle, make_bundle, remove_cgroups


@pytest.fixture(params=["crun", "runc"])
async def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bundle]:
    if shutil.which(request.param) is None:
        pytest.skip(f"needs {request.param}")
    mount_hugetlb()
    directory = tmp_path / "bundle"
    directory.mkdir()
    yield make_bundle(request.param, directory, await gather())
    remove_cgroups()
