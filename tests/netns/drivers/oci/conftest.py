"""Each test here has the OCI driver on a throw-away host, once with crun and once with runc.

Control groups are the machine's own: every test has a parent group of its own, and removes it.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator

import pytest

from crishim.drivers.process.reaper import reap_orphans
from tests.netns.drivers.oci.lab import Lab, make_host

RUNTIMES = ("crun", "runc")


@pytest.fixture(params=RUNTIMES)
async def lab(request: pytest.FixtureRequest) -> AsyncIterator[Lab]:
    """An open driver; nothing may be left of its containers when a test has deleted them."""
    if shutil.which(request.param, path="/usr/bin:/usr/sbin") is None:
        pytest.skip(f"{request.param} is not installed")
    make_host()
    reaper = asyncio.create_task(reap_orphans())
    lab = Lab(request.param, f"/crishim-test-{secrets.token_hex(4)}")
    await lab.open()
    try:
        yield lab
    finally:
        await lab.close()
        reaper.cancel()
