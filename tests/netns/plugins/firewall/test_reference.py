"""firewall and the reference executable: the same rules in iptables, so each deletes and checks the other's."""

from __future__ import annotations

import pytest

from cni_runtime.call import Verb
from cni_runtime.errors import PluginError
from tests.lab.conflists import CURRENT
from tests.netns.plugins.firewall.conftest import Fenced

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not (CURRENT.directory / "firewall").exists(), reason="needs hack/build-tools"),
]


async def test_iptables_has_the_same_rules_from_both(fenced: Fenced) -> None:
    fenced.use_iptables()
    await fenced.join("a")
    await fenced.run(Verb.ADD, "a", by=fenced.reference)
    expected = fenced.iptables()
    for command in ("-F", "-X"):
        for tool in ("iptables", "ip6tables"):
            fenced.pods.host.run(tool, command)
    await fenced.run(Verb.ADD, "a")
    assert sorted(fenced.iptables()) == sorted(expected)
    assert len(expected) == 12


async def test_what_the_executable_added_is_checked_and_deleted(fenced: Fenced) -> None:
    await fenced.join("a")
    await fenced.run(Verb.ADD, "a", by=fenced.reference)
    await fenced.run(Verb.CHECK, "a")
    await fenced.run(Verb.DEL, "a")
    assert not [rule for rule in fenced.iptables() if "10.1.0.2" in rule or "fd00:1::2" in rule]
    with pytest.raises(PluginError, match="not accepted"):
        await fenced.run(Verb.CHECK, "a")


async def test_the_executable_checks_and_deletes_what_was_added_here(fenced: Fenced) -> None:
    fenced.use_iptables()
    await fenced.add("a")
    await fenced.run(Verb.CHECK, "a", by=fenced.reference)
    await fenced.run(Verb.DEL, "a", by=fenced.reference)
    assert not [rule for rule in fenced.iptables() if "10.1.0.2" in rule or "fd00:1::2" in rule]


async def test_both_share_chains(fenced: Fenced) -> None:
    for pod, invoker in (("a", fenced.reference), ("b", None), ("c", fenced.reference)):
        await fenced.join(pod)
        await fenced.run(Verb.ADD, pod, by=invoker)
    assert len([rule for rule in fenced.iptables() if rule.startswith("-A FORWARD")]) == 2
    assert len([rule for rule in fenced.iptables() if rule.endswith("-j CNI-ADMIN")]) == 2


async def test_a_jump_of_the_administrator_does_not_stand_for_the_plugins(fenced: Fenced) -> None:
    fenced.use_iptables()
    fenced.pods.host.run("iptables", "-N", "CNI-FORWARD")
    fenced.pods.host.run("iptables", "-A", "FORWARD", "-i", "elsewhere", "-j", "CNI-FORWARD")
    await fenced.add("a")
    await fenced.run(Verb.CHECK, "a", by=fenced.reference)
