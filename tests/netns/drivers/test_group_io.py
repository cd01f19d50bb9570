"""What a group reads and writes is counted by the kernel, on a block device of the test's own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from crishim.drivers.cgroups.hierarchy import Hierarchies
from crishim.drivers.cgroups.io import DeviceIo, device_path, read_io
from tests.lab.node import eventually

_BLKIO = Path("/sys/fs/cgroup/blkio")
pytestmark = pytest.mark.skipif(not _BLKIO.joinpath("blkio.throttle.io_serviced").exists(), reason="no blkio hierarchy")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    image = tmp_path / "image"
    image.write_bytes(bytes(1 << 16))
    found = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip(f"no loop device: {found.stderr}")
    yield Path(found.stdout.strip())
    subprocess.run(["losetup", "--detach", found.stdout.strip()], check=True)


@pytest.fixture
def group() -> Iterator[Path]:
    path = _BLKIO / f"crishim-test-{token_hex(4)}"
    path.mkdir()
    yield path
    assert eventually(lambda: not (path / "cgroup.procs").read_text())
    path.rmdir()


def test_what_is_read_and_written_counts(disk: Path, group: Path) -> None:
    number = Path(f"/sys/block/{disk.name}/dev").read_text().strip()
    (group / "blkio.throttle.write_bps_device").write_text(f"{number} 1073741824")  # else nobody counts
    write = f"dd if=/dev/zero of={disk} bs=4096 count=4 oflag=direct"
    read = f"dd if={disk} of=/dev/null bs=4096 count=2 iflag=direct"
    subprocess.run(["sh", "-ec", f"echo $$ > {group}/cgroup.procs; {write}; {read}"], check=True)
    assert read_io(Hierarchies({"blkio": _BLKIO}), group.name) == (DeviceIo(number, 8192, 16384, 2, 4),)
    assert device_path(number) == str(disk)
