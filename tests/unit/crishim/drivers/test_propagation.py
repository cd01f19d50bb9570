"""How mounts propagate at a path."""

from pathlib import Path

import pytest

from crishim.drivers.mounts import parse_mountinfo
from crishim.drivers.propagation import Propagation, find_propagation, propagations_of

MOUNTINFO = r"""
20 1 8:1 / / rw shared:1 - ext4 /dev/a rw
21 20 0:5 / /data rw master:1 - tmpfs data rw
22 20 0:6 / /data/deep rw shared:3 master:1 - tmpfs deep rw
23 20 0:7 / /private rw - tmpfs private rw
24 20 0:8 / /with\040blank rw - tmpfs blank rw
25 20 0:9 / /twice rw - tmpfs under rw
26 20 0:9 / /twice rw shared:9 - tmpfs over rw
""".strip()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", Propagation.SHARED),
        ("/etc/x", Propagation.SHARED),
        ("/database", Propagation.SHARED),
        ("/data", Propagation.SLAVE),
        ("/data/x", Propagation.SLAVE),
        ("/data/deep/x", Propagation.SHARED),
        ("/private", Propagation.PRIVATE),
        ("/with blank/x", Propagation.PRIVATE),
        ("/twice", Propagation.SHARED),
    ],
)
def test_found(path: str, expected: Propagation) -> None:
    assert find_propagation(parse_mountinfo(MOUNTINFO), path) is expected


@pytest.mark.anyio
async def test_links_are_followed(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/proc/self")
    found = await propagations_of(str(link), "/proc/self")
    assert found[str(link)] is found["/proc/self"]
