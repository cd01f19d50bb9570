"""Why there are no checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from crishim.drivers.oci.criu import checkpoint_obstacle

pytestmark = pytest.mark.anyio

NO_VDSO = "echo 'Error (criu/vdso.c:381): vdso: Unexpected bounds' >&2; echo 'Error (b.c:1): more' >&2; exit 1"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (NO_VDSO, "criu does not work on this node: vdso: Unexpected bounds"),
        ("exit 3", "criu does not work on this node: criu check ended with 3"),
        ("echo Looks good.", "criu works on this node, but crishim does not make checkpoints yet"),
    ],
)
async def test_criu_is_asked(tmp_path: Path, script: str, reason: str) -> None:
    criu = tmp_path / "criu"
    criu.write_text(f"#!/bin/sh\n{script}\n")
    criu.chmod(0o755)
    assert await checkpoint_obstacle(str(criu)) == reason


async def test_no_criu(tmp_path: Path) -> None:
    assert await checkpoint_obstacle(str(tmp_path / "criu")) == "criu is not installed"
