"""CDI devices: their names, and what their edits do to a configuration."""

from typing import Any

import pytest

from crishim.container.spec.build import build_spec
from crishim.container.spec.cdi import apply_edits, cdi_devices
from crishim.container.spec.inputs import User
from crishim.core.errors import InvalidArgumentError
from crishim.drivers.cdi import CdiDeviceNode, CdiHook, CdiMount, ContainerEdits
from tests.unit.crishim.container.spec.parts import asked, inputs, secured


def edited(*edits: ContainerEdits) -> dict[str, Any]:
    return build_spec(inputs(secured(), user=User(1000, 1001, (1001,)), cdi_edits=edits))


def test_names() -> None:
    annotations = {"cdi.k8s.io/gpu_1": "vendor.com/gpu=1,vendor.com/gpu=a:b", "other": "x"}
    config = asked(cdi_devices=("vendor.com/gpu=1", "v/c=all"), annotations=annotations)
    assert cdi_devices(config) == ("vendor.com/gpu=1", "v/c=all", "vendor.com/gpu=a:b")


@pytest.mark.parametrize("name", ["", "gpu", "v/c", "v/c=", "/c=d", "1v/c=d", "v-/c=d", "v/c=-d", "v/c=d\n", "v/c/e=d"])
def test_no_names(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^config.CDI_devices: expected vendor/class=device; found"):
        cdi_devices(asked(cdi_devices=(name,)))
    with pytest.raises(InvalidArgumentError, match=r'^config.annotations\["cdi.k8s.io/x"\]: expected vendor/class'):
        cdi_devices(asked(annotations={"cdi.k8s.io/x": name}))


def test_without_edits() -> None:
    spec = build_spec(inputs())
    assert apply_edits(spec, ()) is spec
    assert apply_edits(spec, [ContainerEdits()]) == spec


def test_environment_and_groups() -> None:
    process = edited(ContainerEdits(env=("A=1", "HOSTNAME=x"), additional_gids=(44, 0, 1001)))["process"]
    assert {"A=1", "HOSTNAME=x"} <= set(process["env"])
    assert "HOSTNAME=node" not in process["env"]
    assert process["user"]["additionalGids"] == [1001, 44]


def test_device_nodes() -> None:
    nodes = (
        CdiDeviceNode("/dev/a", type="c", major=1, minor=2, permissions="r", uid=0, gid=5, file_mode=0o600),
        CdiDeviceNode("/dev/b", type="p"),
    )
    linux = edited(ContainerEdits(device_nodes=nodes))["linux"]
    device = {"path": "/dev/a", "type": "c", "major": 1, "minor": 2, "fileMode": 0o600, "uid": 0, "gid": 5}
    fifo = {"path": "/dev/b", "type": "p", "fileMode": 0o666, "uid": 1000, "gid": 1001}
    assert linux["devices"] == [device, fifo]
    assert linux["resources"]["devices"][1:] == [{"allow": True, "type": "c", "major": 1, "minor": 2, "access": "r"}]


def test_mounts() -> None:
    mounts = (CdiMount("/h", "/usr/lib/gpu", ("bind", "ro")), CdiMount("/hosts", "/etc/hosts"))
    made = edited(ContainerEdits(mounts=mounts))["mounts"]
    assert made[-1] == {
        "destination": "/usr/lib/gpu",
        "source": "/h",
        "type": "bind",
        "options": ["bind", "ro"],
    }
    assert [mount["source"] for mount in made if mount["destination"] == "/etc/hosts"] == ["/hosts"]
    assert [mount["destination"] for mount in made][:3] == ["/proc", "/dev", "/sys"]


def test_hooks() -> None:
    first = ContainerEdits(hooks=(CdiHook("createRuntime", "/bin/a", ("a", "-x"), timeout=5),))
    second = ContainerEdits(hooks=(CdiHook("createRuntime", "/bin/b"), CdiHook("poststop", "/bin/c", env=("A=1",))))
    assert edited(first, second)["hooks"] == {
        "createRuntime": [{"path": "/bin/a", "args": ["a", "-x"], "timeout": 5}, {"path": "/bin/b"}],
        "poststop": [{"path": "/bin/c", "env": ["A=1"]}],
    }


def test_rdt() -> None:
    assert edited(ContainerEdits(intel_rdt={"closID": "x"}))["linux"]["intelRdt"] == {"closID": "x"}
