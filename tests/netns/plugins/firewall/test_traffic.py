"""firewall on a real kernel: whose traffic passes, with and without iptables."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from cni_runtime.call import Verb
from cni_runtime.errors import PluginError
from cni_runtime.net.nft import STATE
from tests.netns.plugins.firewall.conftest import FIREWALL, OTHER, Fenced
from tests.netns.plugins.traffic import ask, serving

pytestmark = pytest.mark.anyio

OUTSIDE4, OUTSIDE6 = "192.0.2.2", "2001:db8::2"
TABLE = "cni_runtime_firewall"
BRIDGE_NETFILTER = Path("/proc/sys/net/bridge").exists()


@pytest.mark.parametrize("target", [OUTSIDE4, OUTSIDE6])
async def test_what_a_pod_begins_passes_where_iptables_drops(fenced: Fenced, outside: Path, target: str) -> None:
    fenced.use_iptables()
    with serving("outside", outside):
        await fenced.join("a")
        assert not ask("tcp", target, 80, fenced.pods.netns["a"])
        await fenced.run(Verb.ADD, "a")
        assert ask("tcp", target, 80, fenced.pods.netns["a"]).startswith("outside ")
        await fenced.run(Verb.DEL, "a")
        assert not ask("tcp", target, 80, fenced.pods.netns["a"])


async def test_what_begins_elsewhere_does_not(fenced: Fenced, outside: Path) -> None:
    fenced.use_iptables()
    address = await fenced.add("a")
    fenced.pods.host.run("ip", "route", "add", "10.1.0.0/24", "via", "192.0.2.1", netns=outside)
    assert not ask("tcp", address, 80, outside)
    fenced.use_iptables("ACCEPT")
    assert ask("tcp", address, 80, outside).startswith("a ")


async def test_an_administrators_chain_comes_first(fenced: Fenced, outside: Path) -> None:
    fenced.use_iptables()
    await fenced.add("a", iptablesAdminChainName="MINE")
    fenced.pods.host.run("iptables", "-A", "MINE", "-d", OUTSIDE4, "-j", "DROP")
    with serving("outside", outside):
        assert not ask("tcp", OUTSIDE4, 80, fenced.pods.netns["a"])
        assert ask("tcp", OUTSIDE6, 80, fenced.pods.netns["a"])


async def test_a_host_without_iptables_gets_no_tables_of_it(fenced: Fenced) -> None:
    await fenced.add("a")
    assert not [rule for rule in fenced.pods.host.rules() if '"name": "filter"' in rule]
    await fenced.run(Verb.CHECK, "a")


@pytest.mark.parametrize("policy", ["same-bridge", "isolated", "open"])
async def test_bridges_are_kept_apart(fenced: Fenced, policy: str) -> None:
    if policy == "isolated" and not BRIDGE_NETFILTER:
        pytest.skip("br_netfilter is not loaded")
    near = await fenced.add("near", ingressPolicy=policy)
    far = await fenced.add("far", OTHER, ingressPolicy=policy)
    await fenced.add("client", ingressPolicy=policy)
    client = fenced.pods.netns["client"]
    assert bool(ask("tcp", near, 80, client)) is (policy != "isolated")
    assert bool(ask("tcp", far, 80, client)) is (policy == "open")


async def test_a_closed_bridge_reaches_the_outside(fenced: Fenced, outside: Path) -> None:
    await fenced.add("a", ingressPolicy="isolated")
    with serving("outside", outside):
        assert ask("tcp", OUTSIDE4, 80, fenced.pods.netns["a"])


async def test_a_bridge_stays_closed_until_its_last_pod_goes(fenced: Fenced) -> None:
    far = await fenced.add("far", OTHER, ingressPolicy="same-bridge")
    for pod in ("a", "b"):
        await fenced.add(pod, ingressPolicy="same-bridge")
    await fenced.run(Verb.DEL, "a", ingressPolicy="same-bridge")
    assert not ask("tcp", far, 80, fenced.pods.netns["b"])
    await fenced.run(Verb.DEL, "b", ingressPolicy="same-bridge")
    assert ask("tcp", far, 80, fenced.pods.netns["b"])


async def test_nothing_but_what_all_share_is_left_after_del(fenced: Fenced) -> None:
    fenced.use_iptables()
    await fenced.join("a")
    before = fenced.pods.host.rules()
    for _ in range(2):
        await fenced.run(Verb.ADD, "a", ingressPolicy="isolated")
        await fenced.run(Verb.DEL, "a", ingressPolicy="isolated")
        await fenced.run(Verb.DEL, "a", ingressPolicy="isolated")
    left = fenced.pods.host.rules() - before
    assert len(left) == 8
    assert all("CNI-FORWARD" in rule or "CNI-ADMIN" in rule for rule in left)


async def test_an_address_that_another_pod_has_by_now_stays_accepted(fenced: Fenced) -> None:
    fenced.use_iptables()
    await fenced.add("a")
    await fenced.run(Verb.DEL, "a")
    fenced._previous["b"] = fenced._previous["a"]
    fenced.pods.netns["b"] = fenced.pods.netns["a"]
    await fenced.run(Verb.ADD, "b")
    rules = fenced.iptables()
    await fenced.run(Verb.DEL, "a")
    assert fenced.iptables() == rules


async def test_del_looks_at_no_other_pods_files(fenced: Fenced) -> None:
    await fenced.add("a")
    await fenced.add("b")
    (STATE / TABLE / "nobodys.json").mkdir()  # which could not be read
    await fenced.run(Verb.DEL, "a")
    assert "10.1.0.2" not in fenced.pods.host.run("nft", "list", "table", "inet", TABLE)


@pytest.mark.parametrize(
    "damage",
    [("nft", "flush", "ruleset"), ("iptables", "-F", "FORWARD"), ("iptables", "-F", "CNI-FORWARD")],
    ids=" ".join,
)
async def test_check_makes_again_what_was_flushed(fenced: Fenced, outside: Path, damage: tuple[str, ...]) -> None:
    fenced.use_iptables()
    await fenced.add("a")
    fenced.pods.host.run(*damage)
    fenced.use_iptables()
    await fenced.run(Verb.CHECK, "a")
    with serving("outside", outside):
        fenced.pods.host.run("ip", "route", "add", "10.1.0.0/24", "via", "192.0.2.1", netns=outside)
        assert ask("tcp", OUTSIDE4, 80, fenced.pods.netns["a"]).startswith("outside ")


async def test_check_tells_that_our_table_was_gone(fenced: Fenced, caplog: pytest.LogCaptureFixture) -> None:
    await fenced.add("a", ingressPolicy="same-bridge")
    fenced.pods.host.run("nft", "delete", "table", "inet", TABLE)
    with caplog.at_level(logging.WARNING):
        await fenced.run(Verb.CHECK, "a", ingressPolicy="same-bridge")
    assert "made again" in caplog.text
    assert '"cni0" . "cni0"' in fenced.pods.host.run("nft", "list", "table", "inet", TABLE)


async def test_check_refuses_what_was_never_added(fenced: Fenced) -> None:
    fenced.use_iptables()
    await fenced.join("a")
    with pytest.raises(PluginError, match=r"10\.1\.0\.2 is not accepted for container a"):
        await fenced.run(Verb.CHECK, "a")


async def test_gc_keeps_only_valid_attachments_of_its_network(fenced: Fenced) -> None:
    fenced.use_iptables()
    for pod in ("a", "b"):
        await fenced.add(pod)
    valid = [{"containerID": "b", "ifname": "eth0"}]
    await fenced.pods.call(Verb.GC, "a", {**FIREWALL, "cni.dev/valid-attachments": valid})
    rules = " ".join(fenced.iptables())
    assert "10.1.0.2/32" not in rules
    assert "10.1.0.3/32" in rules
    assert "10.1.0.2" not in fenced.pods.host.run("nft", "list", "table", "inet", TABLE)
