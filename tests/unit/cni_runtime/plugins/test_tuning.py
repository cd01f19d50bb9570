from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from cni_runtime.errors import CniError, ConfigError
from cni_runtime.net.inspect import Link
from cni_runtime.net.plan import Where
from cni_runtime.net.settings import ChangeSettings, Settings
from cni_runtime.plugins.base import Context
from cni_runtime.plugins.tuning.config import (
    TuningConfig,
    read_allowlist,
    require_allowed,
    saved_path,
    sysctl_keys,
    tuning_config,
)
from cni_runtime.plugins.tuning.plan import Save, Seen, Tune, compare, tuning_plan, with_mac
from cni_runtime.result import Interface, Result
from tests.unit.cni_runtime.plugins.conftest import MakeCall

MACS = [f"02:00:00:00:00:0{number}" for number in range(4)]
LINK = Link("eth0", 2, mac=MACS[0], mtu=1500, queue_length=1000)
SAVED = Path("/run/x.json")


@pytest.mark.parametrize(
    ("more", "mac"),
    [
        ({}, MACS[0]),
        ({"cni_args": {"MAC": MACS[1]}}, MACS[1]),
        ({"cni_args": {"MAC": MACS[1]}, "runtimeConfig": {"mac": MACS[2]}}, MACS[2]),
        ({"runtimeConfig": {"mac": MACS[2]}, "args": {"cni": {"mac": MACS[3]}}}, MACS[3]),
        ({"cni_args": {"MAC": "02-00-00-00-00-0A"}}, "02:00:00:00:00:0a"),
    ],
)
def test_whose_mac_wins(call: MakeCall, context: Context, more: dict[str, Any], mac: str) -> None:
    assert tuning_config(call("tuning", mac=MACS[0], **more), context).mac == mac


def test_arguments_win_over_options(call: MakeCall, context: Context) -> None:
    given = {"sysctl": {"net.b": "2"}, "promisc": False, "mtu": 9000, "txQLen": 0, "allmulti": False}
    own = {"sysctl": {"net.a": "1", "net.b": "1"}, "promisc": True, "mtu": 1400, "txQLen": 5, "allmulti": True}
    config = tuning_config(call("tuning", **own, args={"cni": given}), context)
    assert config == TuningConfig(sysctl={"net.a": "1", "net.b": "2"}, mtu=9000, queue_length=0, allmulti=False)


@pytest.mark.parametrize("options", [{"mac": "nonsense"}, {"mtu": -1}, {"sysctl": {"net.a": 1}}, {"promisc": "yes"}])
def test_bad_options(call: MakeCall, context: Context, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        tuning_config(call("tuning", **options), context)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("net.ipv4.conf.IFNAME.arp_filter", "net/ipv4/conf/eth0.7/arp_filter"),
        ("net/core/somaxconn", "net/core/somaxconn"),
        ("../net..core//somaxconn", "net/core/somaxconn"),
    ],
)
def test_the_path_of_a_sysctl(call: MakeCall, name: str, key: str) -> None:
    vlan = structs.replace(call("tuning"), ifname="eth0.7")
    assert sysctl_keys(vlan, TuningConfig(sysctl={name: "1"})) == {key: "1"}


@pytest.mark.parametrize("name", ["kernel.pid_max", "net", "/etc/passwd", "", "network.x"])
def test_sysctls_of_the_network_only(call: MakeCall, name: str) -> None:
    with pytest.raises(ConfigError, match="not one of the network"):
        sysctl_keys(call("tuning"), TuningConfig(sysctl={name: "1"}))


@pytest.mark.parametrize("ifname", ["..", "a/b"])
def test_an_interface_name_cannot_lead_elsewhere(call: MakeCall, ifname: str) -> None:
    with pytest.raises(CniError, match="interface name"):
        sysctl_keys(structs.replace(call("tuning"), ifname=ifname), TuningConfig(sysctl={"net.IFNAME": "1"}))


def test_a_sysctl_with_two_values(call: MakeCall) -> None:
    with pytest.raises(ConfigError, match="twice"):
        sysctl_keys(call("tuning"), TuningConfig(sysctl={"net.core.x": "1", "net/core/x": "2"}))


@pytest.mark.parametrize(
    ("allowlist", "allowed"),
    [(None, True), ("", False), ("^net\\.core\\.\n", True), ("\n somaxconn \n", True), ("net.ipv4", False)],
)
def test_allow_list(call: MakeCall, allowlist: str | None, allowed: bool) -> None:
    config = TuningConfig(sysctl={"net.core.somaxconn": "1"})
    if allowed:
        require_allowed(call("tuning"), config, allowlist)
    else:
        with pytest.raises(ConfigError, match=r"'net\.core\.somaxconn' is not allowed by /etc/cni/tuning"):
            require_allowed(call("tuning"), config, allowlist)


def test_an_allow_list_that_is_no_list_of_expressions(call: MakeCall) -> None:
    with pytest.raises(ConfigError, match="not a regular expression"):
        require_allowed(call("tuning"), TuningConfig(), "ok\n(")


def test_no_allow_list(tmp_path: Path) -> None:
    assert read_allowlist(tmp_path / "none") is None


@pytest.mark.parametrize(("data", "directory"), [("", "/run/cni/tuning"), ("/x", "/x")])
def test_the_name_of_the_file(call: MakeCall, data: str, directory: str) -> None:
    assert saved_path(call("tuning"), data) == Path(directory) / "c_eth0.json"


def test_the_plan_saves_before_it_changes() -> None:
    config = TuningConfig(mac=MACS[1], mtu=1400)
    plan = tuning_plan(config, {"net/core/x": "1"}, Seen(LINK, {"net/core/x": "0"}), "eth0", SAVED)
    before, after = Settings(mac=MACS[0], mtu=1500), Settings(mac=MACS[1], mtu=1400)
    assert plan == (
        Tune((("net/core/x", "1"),), (("net/core/x", "0"),)),
        Save(SAVED, before),
        ChangeSettings(Where.POD, "eth0", after, before),
    )


def test_nothing_to_do_and_nothing_to_do_it_to() -> None:
    assert tuning_plan(TuningConfig(), {}, Seen(None), "eth0", SAVED) == ()
    with pytest.raises(CniError, match="eth0 is not in the pod"):
        tuning_plan(TuningConfig(mtu=1400), {}, Seen(None), "eth0", SAVED)


def test_the_result_has_the_new_mac() -> None:
    result = Result(interfaces=(Interface(name="cni0", mac="x"), Interface(name="eth0", mac="y", sandbox="/ns")))
    assert [one.mac for one in with_mac(result, "eth0", MACS[1]).interfaces] == ["x", MACS[1]]
    assert with_mac(result, "eth0", "") == result


@pytest.mark.parametrize(
    ("config", "sysctl", "problem"),
    [
        (TuningConfig(), "4096\t1\t2", ""),
        (TuningConfig(mac=MACS[0], mtu=1500, allmulti=False, queue_length=1000), "4096 1 2", ""),
        (TuningConfig(), "4096 1 3", "sysctl net/a is '4096 1 3', expected '4096 1 2'"),
        (TuningConfig(promisc=True), "4096 1 2", "promisc False, expected True"),
        (TuningConfig(mac=MACS[1]), "4096 1 2", "mac .*, expected .*"),
        (TuningConfig(queue_length=1), "4096 1 2", "queue_length 1000, expected 1"),
    ],
)
def test_compare(config: TuningConfig, sysctl: str, problem: str) -> None:
    seen = Seen(LINK, {"net/a": sysctl})
    if not problem:
        compare(config, {"net/a": "4096 1 2"}, seen, "eth0")
        return
    with pytest.raises(CniError, match=problem):
        compare(config, {"net/a": "4096 1 2"}, seen, "eth0")


def test_promiscuous_mode_that_was_not_asked_for() -> None:
    seen = Seen(structs.replace(LINK, promiscuous=True))
    with pytest.raises(CniError, match="promisc True, expected False"):
        compare(TuningConfig(), {}, seen, "eth0")
