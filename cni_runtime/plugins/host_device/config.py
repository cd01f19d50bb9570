"""The options of host-device, and the device that they stand for. Reads sysfs. Source: the reference plugin 1.9."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from cni_runtime import names
from cni_runtime.call import PluginCall
from cni_runtime.errors import CniError, ConfigError
from cni_runtime.plugins.base import Context, decode, runtime_config, where_of
from cni_runtime.plugins.delegate import IpamConfig

SYS = Path("/sys")

_DPDK_DRIVERS = frozenset({"vfio-pci", "uio_pci_generic", "igb_uio"})


class HostDeviceConfig(Struct, frozen=True, rename={"pci_bus_id": "pciBusID"}):
    """The options; the first of them that says anything counts."""

    device: str = ""
    hwaddr: str = ""
    kernelpath: str = ""
    pci_bus_id: str = ""
    ipam: IpamConfig = IpamConfig()


class _Capability(Struct, frozen=True, rename={"device_id": "deviceID"}):
    device_id: str = ""


class Selected(Struct, frozen=True):
    """The device by its name, or by its MAC. ``dpdk``: a program in the pod drives it, and there is no link to move."""

    device: str = ""
    mac: str = ""
    dpdk: bool = False


def host_device_config(call: PluginCall, context: Context) -> HostDeviceConfig:
    """The options of ``call``. Raises ConfigError."""
    return decode(call, HostDeviceConfig, context)


def select(call: PluginCall, config: HostDeviceConfig, sys: Path = SYS) -> Selected:
    """The device that the options and ``runtimeConfig.deviceID`` stand for. Raises ConfigError, CniError, OSError."""
    pci, auxiliary = _bus_addresses(call, config, sys)
    if pci and _driver(sys / "bus/pci/devices" / pci) in _DPDK_DRIVERS:
        return Selected(dpdk=True)
    if config.device:
        return Selected(device=config.device)
    if config.hwaddr:
        return Selected(mac=names.mac_address(config.hwaddr))
    if config.kernelpath:
        return Selected(device=_only_device(_kernel_path(call, config.kernelpath, sys) / "net"))
    if pci:
        return Selected(device=_only_device(_pci_net(sys / "bus/pci/devices" / pci)))
    if auxiliary:
        return Selected(device=_only_device(sys / "bus/auxiliary/devices" / auxiliary / "net"))
    raise ConfigError(f"{where_of(call)}: expected one of `device`, `hwaddr`, `kernelpath` and `pciBusID`")


def _bus_addresses(call: PluginCall, config: HostDeviceConfig, sys: Path) -> tuple[str, str]:
    """The addresses on the PCI and the auxiliary bus; the runtime's device ID is one of them."""
    device = runtime_config(call, _Capability).device_id
    for address in (device, config.pci_bus_id):
        if "/" in address or address in (".", ".."):
            raise ConfigError(f"{where_of(call)}: {address[:80]!r} is not the address of a device on a bus")
    if not device:
        return config.pci_bus_id, ""
    if (sys / "bus/pci/devices" / device).exists():
        return device, ""
    if (sys / "bus/auxiliary/devices" / device).exists():
        return "", device
    raise CniError(f"there is no device {device} on the PCI bus or the auxiliary bus")


def _driver(device: Path) -> str:
    try:
        return (device / "driver").resolve(strict=True).name
    except FileNotFoundError:
        raise CniError(f"the PCI device {device.name} is not there or has no driver") from None


def _kernel_path(call: PluginCall, text: str, sys: Path) -> Path:
    path = Path(text)
    if not path.is_absolute() or ".." in path.parts or not path.is_relative_to("/sys/devices"):
        raise ConfigError(f"{where_of(call)}: kernelpath: expected a path below /sys/devices, got {text[:80]!r}")
    return sys / path.relative_to("/sys")


def _pci_net(device: Path) -> Path:
    found = [device / "net", *sorted(device.glob("virtio*/net"))]
    return next((path for path in found if path.exists()), found[0])


def _only_device(directory: Path) -> str:
    """The first network device in a directory of sysfs."""
    try:
        found = sorted(entry.name for entry in directory.iterdir())
    except FileNotFoundError:
        found = []
    if not found:
        raise CniError(f"there is no network device in {directory}")
    return found[0]
