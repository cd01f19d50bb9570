"""The devices of a container, and the rules that let it use them."""

from typing import Any

import pytest
from msgspec.structs import replace

from crishim.container.spec.devices import check_devices, device_rules, devices
from crishim.core.errors import InvalidArgumentError
from crishim.drivers.devices import DeviceNode
from crishim.model.container import Device
from tests.unit.crishim.container.spec.parts import HOST, asked, inputs, secured

FUSE = DeviceNode("/dev/fuse", "c", 10, 229, 0o600, 1, 2)
SOUND = (DeviceNode("/dev/snd/a", "c", 116, 1), DeviceNode("/dev/snd/by/b", "b", 116, 2))
DENY = {"allow": False, "access": "rwm"}
ANY = [{"allow": True, "access": "rwm"}]
GIVEN = asked(devices=(Device("/dev/f", "/dev/fuse", "mr"),))
HOST_WITH_FUSE = replace(HOST, devices=(FUSE,))


def test_one() -> None:
    made = inputs(GIVEN, devices={"/dev/fuse": (FUSE,)})
    numbers = {"type": "c", "major": 10, "minor": 229}
    assert devices(made) == [{"path": "/dev/f", **numbers, "fileMode": 0o600, "uid": 1, "gid": 2}]
    assert device_rules(made) == [DENY, {"allow": True, **numbers, "access": "rm"}]


def test_a_directory() -> None:
    config = asked(devices=(Device("/dev/sound/", "/dev/snd", ""),))
    made = inputs(config, devices={"/dev/snd": SOUND})
    assert [device["path"] for device in devices(made)] == ["/dev/sound/a", "/dev/sound/by/b"]
    assert [rule["access"] for rule in device_rules(made)] == 3 * ["rwm"]


def test_a_fifo_has_no_numbers_and_no_rule() -> None:
    made = inputs(GIVEN, devices={"/dev/fuse": (DeviceNode("/dev/fuse", "p", 0, 0),)})
    assert devices(made)[0].keys() == {"path", "type", "fileMode", "uid", "gid"}
    assert device_rules(made) == [DENY]


def test_none() -> None:
    assert (devices(inputs()), device_rules(inputs())) == ([], [DENY])


@pytest.mark.parametrize(
    ("more", "paths", "rules"),
    [
        ({}, ["/dev/fuse"], ANY),
        ({"privileged_without_host_devices": True}, [], [DENY]),
        ({"privileged_without_host_devices": True, "all_devices_allowed": True}, [], ANY),
    ],
)
def test_privileged(more: dict[str, Any], paths: list[str], rules: object) -> None:
    made = inputs(secured(privileged=True), host=HOST_WITH_FUSE, **more)
    assert ([device["path"] for device in devices(made)], device_rules(made)) == (paths, rules)


def test_all_devices_are_for_privileged_containers_alone() -> None:
    made = inputs(secured(), host=HOST_WITH_FUSE, all_devices_allowed=True)
    assert (devices(made), device_rules(made)) == ([], [DENY])


def test_a_path_is_used_once() -> None:
    config = replace(secured(privileged=True), devices=(Device("/dev/fuse", "/dev/x", "r"),))
    made = inputs(config, host=HOST_WITH_FUSE, devices={"/dev/x": (DeviceNode("/dev/x", "c", 7, 7),)})
    assert [(device["path"], device["major"]) for device in devices(made)] == [("/dev/fuse", 7)]


@pytest.mark.parametrize(("owned", "owner"), [(False, (1, 2)), (True, (1000, 2))])
def test_ownership(owned: bool, owner: tuple[int, int]) -> None:
    config = replace(GIVEN, security=secured(run_as_user=1000).security)
    (device,) = devices(inputs(config, devices={"/dev/fuse": (FUSE,)}, device_ownership=owned))
    assert (device["uid"], device["gid"]) == owner


@pytest.mark.parametrize(
    ("device", "message"),
    [
        (Device("/a", "b", "r"), "host_path: expected an absolute path; found 'b'"),
        (Device("", "/b", "r"), "container_path: expected a path below the root"),
        (Device("/a\0", "/b", "r"), "container_path: expected text without NUL"),
        (Device("/a", "/b", "x"), "permissions: expected some of r, w and m; found 'x'"),
    ],
)
def test_refused(device: Device, message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check_devices(asked(devices=(device,)))
    assert str(caught.value).startswith(f"config.devices[0].{message}")
