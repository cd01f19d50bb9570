from __future__ import annotations

from crishim.drivers.mounts import Mount, parse_mountinfo

MOUNTINFO = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 master:1 - tmpfs tmpfs rw,mode=755
40 27 0:3 net:[4026532281] /run/netns/a\\040b\\134c\\011d rw shared:5 - nsfs nsfs rw
41 27 0:41 / /srv/x\u2028y rw - tmpfs - - rw
"""


def test_mountinfo_is_read_with_its_escapes_and_optional_fields() -> None:
    assert parse_mountinfo(MOUNTINFO) == [
        Mount("/", "ext4"),
        Mount("/sys/fs/cgroup", "tmpfs", ("shared:9", "master:1")),
        Mount("/run/netns/a b\\c\td", "nsfs", ("shared:5",)),
        Mount("/srv/x\u2028y", "tmpfs"),
    ]
