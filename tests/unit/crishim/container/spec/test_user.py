"""Whom a container runs as, from the request, the image and the image's files."""

from typing import Any

import pytest

from crishim.container.spec.inputs import User
from crishim.container.spec.user import check_user, resolve_user
from crishim.core.errors import InvalidArgumentError
from crishim.model.container import ContainerSecurity
from crishim.model.pod import GroupsPolicy
from tests.unit.crishim.container.spec.parts import secured

PASSWD = f"""\
root:x:0:0:root:/root:/bin/sh
app:x:1000:1001:App:/home/app:/bin/sh
twin:x:1000:7::/twin:
short:x:5:6:gecos:/short
# nobody:x:1:1::/:
broken:x:many:0::/root:
alsobroken:x:-1:0::/root:
long:x:{"9" * 5000}:0::/root:
strange:x:8:8::/a\udcff:
"""
GROUP = """\
root:x:0:root
app:x:1001:
wheel:x:10:root,app
audio:x:11:app
empty:x:12:
broken:x:y:app
nomembers:x:13
"""

LOOKED_UP: list[tuple[dict[str, Any], str, User]] = [
    ({}, "", User(0, 0, (0, 10), "/root")),
    ({}, "app", User(1000, 1001, (10, 11, 1001), "/home/app")),
    ({}, "1000", User(1000, 1001, (10, 11, 1001), "/home/app")),
    ({}, "app:audio", User(1000, 11, (10, 11), "/home/app")),
    ({}, "app:5", User(1000, 5, (5, 10, 11), "/home/app")),
    ({}, "2000", User(2000, 0, (0,), "/")),
    ({}, "strange", User(8, 8, (8,), "/")),
    ({}, "2000:3000", User(2000, 3000, (3000,), "/")),
    ({}, "2000:nomembers", User(2000, 13, (13,), "/")),
    ({}, ":wheel", User(0, 10, (10,), "/root")),
    ({}, "app:", User(1000, 1001, (10, 11, 1001), "/home/app")),
    ({"run_as_user": 5}, "app", User(5, 6, (6,), "/short")),
    ({"run_as_user": 1000, "run_as_group": 9}, "root", User(1000, 9, (9, 10, 11), "/home/app")),
    ({"run_as_username": "app"}, "root", User(1000, 1001, (10, 11, 1001), "/home/app")),
    ({"run_as_username": "1000"}, "root", User(1000, 1001, (10, 11, 1001), "/home/app")),
    ({"run_as_username": "app", "run_as_group": 0}, "", User(1000, 0, (0, 10, 11), "/home/app")),
    ({"supplemental_groups": (11, 99, 99)}, "app", User(1000, 1001, (10, 11, 99, 1001), "/home/app")),
    (
        {"supplemental_groups": (99,), "supplemental_groups_policy": GroupsPolicy.STRICT},
        "app",
        User(1000, 1001, (99, 1001), "/home/app"),
    ),
]


@pytest.mark.parametrize(("security", "image_user", "expected"), LOOKED_UP)
def test_looked_up(security: dict[str, Any], image_user: str, expected: User) -> None:
    assert resolve_user(secured(**security), {"User": image_user}, PASSWD, GROUP) == expected


def test_an_image_without_users() -> None:
    assert resolve_user(secured(run_as_user=1000), {}, "", "") == User(1000, 0, (0,), "/")


UNKNOWN: list[tuple[dict[str, Any], str, str]] = [
    ({"run_as_username": "ghost"}, "", r"run_as_username: no user 'ghost' in /etc/passwd of the image"),
    ({}, "ghost", r"image: config.User: no user 'ghost' in /etc/passwd"),
    ({}, "app:ghosts", r"image: config.User: no group 'ghosts' in /etc/group"),
    ({}, "app:audio:x", r"image: config.User: no group 'audio:x'"),
    ({}, "broken", r"no user 'broken'"),
    ({}, "alsobroken", r"no user 'alsobroken'"),
    ({}, "long", r"no user 'long'"),
    ({}, "9" * 5000, r"no user '9"),
    ({}, "-1", r"image: config.User: expected 0 to 2147483647; found -1"),
    ({}, "0:4294967296", r"image: config.User: expected 0 to 2147483647"),
]


@pytest.mark.parametrize(("security", "image_user", "message"), UNKNOWN)
def test_unknown(security: dict[str, Any], image_user: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        resolve_user(secured(**security), {"User": image_user}, PASSWD, GROUP)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"run_as_user": -1}, r"security_context.run_as_user: expected 0 to"),
        ({"run_as_user": 1, "run_as_group": 2**31}, r"run_as_group: expected 0 to 2147483647; found 2147483648"),
        ({"supplemental_groups": (1, -1)}, r"supplemental_groups\[1\]: expected"),
        ({"run_as_group": 1}, r"run_as_group: is only possible together with run_as_user"),
        ({"run_as_username": "a\0"}, r"run_as_username: expected text without NUL"),
    ],
)
def test_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        check_user(ContainerSecurity(**more))
