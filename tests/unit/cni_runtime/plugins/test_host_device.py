from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cni_runtime.errors import CniError
from cni_runtime.net.effects import Configure
from cni_runtime.net.inspect import Link
from cni_runtime.net.moving import MoveIn
from cni_runtime.net.plan import Where
from cni_runtime.plugins.base import Context
from cni_runtime.plugins.host_device.config import Selected, host_device_config, select
from cni_runtime.plugins.host_device.plugin import host_device_plan, pick
from cni_runtime.result import IPConfig, Result
from tests.unit.cni_runtime.plugins.conftest import MakeCall

MAC = "02:00:00:00:00:01"
LINKS = (Link("lo", 1, mac="00:00:00:00:00:00"), Link("ens1", 2, mac=MAC))


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    """A sysfs with two PCI devices, one of them virtio, one for DPDK, and an auxiliary device."""
    pci, drivers = tmp_path / "bus/pci/devices", tmp_path / "bus/pci/drivers"
    for device, driver, net in (("0:1", "mlx5", "net"), ("0:2", "virtio-pci", "virtio0/net"), ("0:3", "vfio-pci", "")):
        (drivers / driver).mkdir(parents=True)
        (pci / device).mkdir(parents=True)
        (pci / device / "driver").symlink_to(drivers / driver)
        if net:
            (pci / device / net / f"ens{device[-1]}").mkdir(parents=True)
    (pci / "0:4").mkdir()
    (tmp_path / "bus/auxiliary/devices/mlx5.sf.1/net/sf1").mkdir(parents=True)
    (tmp_path / "devices/virtual/net/k0").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("options", "selected"),
    [
        ({"device": "d0"}, Selected(device="d0")),
        ({"hwaddr": "02-00-00-00-00-01"}, Selected(mac=MAC)),
        ({"kernelpath": "/sys/devices/virtual"}, Selected(device="k0")),
        ({"pciBusID": "0:1"}, Selected(device="ens1")),
        ({"pciBusID": "0:2"}, Selected(device="ens2")),
        ({"pciBusID": "0:3"}, Selected(dpdk=True)),
        ({"runtimeConfig": {"deviceID": "0:3"}, "device": "d0"}, Selected(dpdk=True)),
        ({"runtimeConfig": {"deviceID": "mlx5.sf.1"}, "pciBusID": "0:3"}, Selected(device="sf1")),
        ({"device": "d0", "hwaddr": MAC, "pciBusID": "0:1"}, Selected(device="d0")),
        ({"hwaddr": MAC, "kernelpath": "/sys/devices/virtual"}, Selected(mac=MAC)),
    ],
)
def test_which_device(call: MakeCall, context: Context, sys: Path, options: dict[str, Any], selected: Selected) -> None:
    asked = call("host-device", **options)
    assert select(asked, host_device_config(asked, context), sys) == selected


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "expected one of `device`, `hwaddr`, `kernelpath` and `pciBusID`"),
        ({"hwaddr": "nonsense"}, "expected a MAC address"),
        ({"kernelpath": "/etc"}, "expected a path below /sys/devices"),
        ({"kernelpath": "/sys/devices/../../etc"}, "expected a path below /sys/devices"),
        ({"kernelpath": "/sys/devices/nothing"}, "no network device in"),
        ({"pciBusID": "0:4"}, "not there or has no driver"),
        ({"pciBusID": "../0:1"}, "not the address of a device"),
        ({"runtimeConfig": {"deviceID": "0:9"}}, "no device 0:9"),
        ({"runtimeConfig": {"deviceID": ".."}}, "not the address of a device"),
    ],
)
def test_no_device(call: MakeCall, context: Context, sys: Path, options: dict[str, Any], problem: str) -> None:
    asked = call("host-device", **options)
    with pytest.raises(CniError, match=problem):
        select(asked, host_device_config(asked, context), sys)


@pytest.mark.parametrize("selected", [Selected(device="ens1"), Selected(mac=MAC)])
def test_pick(selected: Selected) -> None:
    assert pick(LINKS, selected).name == "ens1"


@pytest.mark.parametrize(
    ("selected", "problem"),
    [
        (Selected(device="gone"), "no device gone"),
        (Selected(mac="aa"), "with the MAC aa"),
    ],
)
def test_pick_nothing(selected: Selected, problem: str) -> None:
    with pytest.raises(CniError, match=problem):
        pick(LINKS, selected)


def test_plan() -> None:
    result = Result(ips=(IPConfig(address="10.1.0.5/24"),))
    assert host_device_plan(LINKS[1], "eth0", result) == (
        MoveIn(LINKS[1], "eth0"),
        Configure(Where.POD, "eth0", ("10.1.0.5/24",), nodad=False),
    )
