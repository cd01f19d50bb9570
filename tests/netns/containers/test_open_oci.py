"""The OCI runtimes of this machine, as the server begins with them."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from crishim.app.containers import open_oci
from crishim.core.config import load_config

pytestmark = pytest.mark.anyio


async def test_the_server_may_open_all_and_its_containers_what_it_was_started_with(tmp_path: Path) -> None:
    soft, hard = 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    config = load_config(None, {"root": str(tmp_path / "root"), "state": str(tmp_path / "state")}).config
    oci = await open_oci(config, systemd=False)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    assert {host.open_files for host in oci.hosts.values()} == {(soft, hard)}
