"""Devices found in description files."""

import json
from pathlib import Path
from typing import Any

import pytest

from crishim.core.errors import InvalidArgumentError
from crishim.drivers.cdi import CdiDeviceNode, CdiHook, CdiMount, ContainerEdits, cdi_edits

pytestmark = pytest.mark.anyio


class Descriptions:
    """Two directories, of which the second one wins."""

    def __init__(self, root: Path) -> None:
        self.directories = (root / "etc", root / "run")
        for directory in self.directories:
            directory.mkdir()

    def add(self, name: str, *devices: Any, **more: Any) -> None:
        """A description of ``v/c`` with devices that each set a variable to ``name``, or are given in full."""
        listed = [
            {"name": each, "containerEdits": {"env": [f"{each}={name}"]}} if isinstance(each, str) else each
            for each in devices
        ]
        body = {"cdiVersion": "0.6.0", "kind": "v/c", "devices": listed, **more}
        (self.directories[0].parent / name).write_text(json.dumps(body))

    async def edits(self, *names: str) -> tuple[ContainerEdits, ...]:
        return await cdi_edits(names, self.directories)

    async def env(self, *names: str) -> list[str]:
        return [variable for edits in await self.edits(*names) for variable in edits.env]


@pytest.fixture
def described(tmp_path: Path) -> Descriptions:
    return Descriptions(tmp_path)


async def test_nothing_asked_for() -> None:
    assert await cdi_edits((), (Path("/does/not/exist"),)) == ()


async def test_common_edits_come_once_and_first(described: Descriptions) -> None:
    described.add("etc/a.json", "x", "y", containerEdits={"env": ["common=1"]})
    described.add("etc/b.json", "z", kind="v/other")
    assert await described.env("v/c=x", "v/other=z", "v/c=y") == [
        "common=1",
        "x=etc/a.json",
        "y=etc/a.json",
        "z=etc/b.json",
    ]


async def test_a_later_directory_wins(described: Descriptions) -> None:
    described.add("etc/z.json", "x")
    described.add("run/a.json", "x")
    assert await described.env("v/c=x") == ["x=run/a.json"]


async def test_a_device_described_twice(described: Descriptions) -> None:
    described.add("run/a.json", "x")
    described.add("run/b.json", "x", "y")
    with pytest.raises(
        InvalidArgumentError, match=r"^CDI devices v/c=x: not described, or more than once, in .*/etc, "
    ):
        await described.edits("v/c=x")
    assert await described.env("v/c=y") == ["y=run/b.json"]


async def test_yaml(described: Descriptions) -> None:
    pytest.importorskip("yaml")
    text = "cdiVersion: 0.5.0\nkind: v/c\ndevices:\n- name: x\n  containerEdits:\n    env: [a=b]\n"
    (described.directories[0] / "a.yaml").write_text(text)
    assert await described.env("v/c=x") == ["a=b"]


BROKEN: list[tuple[str, str]] = [
    ("{", "Input data was truncated"),
    ('{"cdiVersion": "9.0.0", "kind": "v/c", "devices": []}', "cdiVersion '9.0.0' is not known"),
    ('{"cdiVersion": "0.6.0", "kind": "v", "devices": []}', "kind 'v': expected vendor/class"),
    (
        '{"cdiVersion": "0.6.0", "kind": "v/c", "devices": [{"name": 1}]}',
        r"Expected `str`, got `int` - at `\$.devices\[0\].name`",
    ),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
async def test_a_broken_file_is_named_only_when_a_device_is_missing(
    described: Descriptions, text: str, message: str
) -> None:
    (described.directories[0] / "broken.json").write_text(text)
    described.add("etc/a.json", "x")
    assert await described.env("v/c=x") == ["x=etc/a.json"]
    with pytest.raises(InvalidArgumentError, match=f"v/c=y: .*broken.json: {message}"):
        await described.edits("v/c=y")


async def test_all_kinds_of_edits(described: Descriptions) -> None:
    edits = {
        "mounts": [{"hostPath": "/h", "containerPath": "/c", "options": ["ro"]}],
        "hooks": [{"hookName": "createContainer", "path": "/p", "args": ["p"], "timeout": 3}],
        "additionalGids": [5],
        "intelRdt": {"closID": "x"},
    }
    described.add("etc/a.json", {"name": "x", "containerEdits": edits})
    assert (await described.edits("v/c=x"))[1] == ContainerEdits(
        mounts=(CdiMount("/h", "/c", ("ro",)),),
        hooks=(CdiHook("createContainer", "/p", ("p",), timeout=3),),
        additional_gids=(5,),
        intel_rdt={"closID": "x"},
    )


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"path": "/dev/null"}, CdiDeviceNode("/dev/null", "", "c", 1, 3, 0o666)),
        (
            {"path": "/dev/x", "hostPath": "/dev/zero", "fileMode": 384},
            CdiDeviceNode("/dev/x", "/dev/zero", "c", 1, 5, 0o600),
        ),
        (
            {"path": "/dev/none", "type": "b", "major": 7, "permissions": "r"},
            CdiDeviceNode("/dev/none", "", "b", 7, 0, None, "r"),
        ),
        ({"path": "/dev/none", "type": "p"}, CdiDeviceNode("/dev/none", type="p")),
    ],
)
async def test_device_nodes(described: Descriptions, node: dict[str, Any], expected: CdiDeviceNode) -> None:
    described.add("etc/a.json", {"name": "x", "containerEdits": {"deviceNodes": [node]}})
    assert (await described.edits("v/c=x"))[1].device_nodes == (expected,)


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"deviceNodes": [{"path": "/dev/none"}]}, "CDI device /dev/none: No such file"),
        ({"deviceNodes": [{"path": "/dev"}]}, "CDI device /dev: is not a device"),
        ({"deviceNodes": [{"path": "/dev/null", "type": "b"}]}, "CDI device /dev/null: expected type b, found c"),
        ({"netDevices": [{"hostInterfaceName": "eth0", "name": "eth0"}]}, "CDI netDevices: moving network devices"),
    ],
)
async def test_refused(described: Descriptions, edits: dict[str, Any], message: str) -> None:
    described.add("etc/a.json", {"name": "x", "containerEdits": edits})
    with pytest.raises(InvalidArgumentError, match=message):
        await described.edits("v/c=x")
