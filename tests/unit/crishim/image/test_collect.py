"""What no image needs is collected for as long as the server runs."""

from __future__ import annotations

import errno
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from crishim.core.tasks import TaskOwner
from crishim.image.digest import digest_of
from crishim.image.opening import opened_images
from crishim.image.settings import ImageSettings
from crishim.testing.image_store import MemoryImageRecords, NoSync

pytestmark = pytest.mark.anyio


async def test_a_full_disk_does_not_end_it(tmp_path: Path) -> None:
    garbage = tmp_path / "blobs/sha256" / digest_of(b"x").removeprefix("sha256:")
    garbage.parent.mkdir(parents=True)
    garbage.write_bytes(b"x")
    records, owner = MemoryImageRecords(), TaskOwner()
    records.failures["delete"] = OSError(errno.ENOSPC, "no space left")
    settings = ImageSettings(root=tmp_path, garbage_grace=0.0, collect_every=0.01)
    with capture_logs() as logs, anyio.fail_after(5):
        async with opened_images(settings, records, NoSync(), owner, tmp_path / "none"):
            while not logs:  # noqa: ASYNC110  # nobody tells
                await anyio.sleep(0.01)
            records.failures.clear()
            while garbage.exists():  # noqa: ASYNC110
                await anyio.sleep(0.01)
            await owner.aclose()
    assert {log["event"] for log in logs} == {"image.not_collected"}
