"""What the reference executables added, the built-in plugins check and delete, and the other way round."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cni_runtime.call import PluginCall, Verb
from cni_runtime.invoke.builtin import BuiltinInvoker
from cni_runtime.invoke.choose import ChoosingInvoker, Mode
from cni_runtime.invoke.executable import ExecutableInvoker
from cni_runtime.testing.host import Host
from tests.netns.plugins.differential import REFERENCE
from tests.netns.plugins.test_differential import V4, V6, host_local

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference plugins are not built: hack/build-tools"),
]

DUAL = host_local(V4, V6)
CONFIGS: dict[str, dict[str, Any]] = {
    "bridge": {"type": "bridge", "isDefaultGateway": True, "ipam": DUAL},
    "bridge iptables": {"type": "bridge", "isGateway": True, "ipMasq": True, "ipMasqBackend": "iptables", "ipam": DUAL},
    "bridge nftables": {"type": "bridge", "isGateway": True, "ipMasq": True, "ipMasqBackend": "nftables", "ipam": DUAL},
    "bridge macspoofchk": {"type": "bridge", "isGateway": True, "macspoofchk": True, "ipam": DUAL},
    "ptp": {"type": "ptp", "ipMasq": True, "ipam": DUAL},
    "loopback": {"type": "loopback"},
}

Answer = Mapping[str, Any]


class Runtime:
    """Calls for one pod, by either kind of plugin."""

    def __init__(self, host: Host, config: Mapping[str, Any]) -> None:
        self.netns = host.add_netns("pod")
        self.config = {"cniVersion": "1.0.0", "name": "net", **config}
        self.builtin = BuiltinInvoker()
        self.reference = ExecutableInvoker()

    async def call(self, invoker: BuiltinInvoker | ExecutableInvoker | ChoosingInvoker, verb: Verb, **more: Any) -> Any:
        """One call."""
        config = {**self.config, **more}
        return await invoker.invoke(
            PluginCall(
                verb=verb,
                type=config["type"],
                config=config,
                container_id="c",
                netns=str(self.netns),
                ifname="eth0",
                path=(REFERENCE,),
            )
        )


def reserved() -> set[str]:
    networks = Path("/var/lib/cni/networks/net")
    return {path.name for path in networks.glob("*[.:]*[0-9]") if "last" not in path.name}


def rules_of_pods(host: Host) -> set[str]:
    return {rule for rule in host.rules() if any(mark in rule for mark in ("10.1.0.", "fd00:1", "CNI-", "spoof"))}


@pytest.mark.parametrize("name", CONFIGS)
async def test_built_in_deletes_what_the_reference_added(host_netns: Host, name: str) -> None:
    runtime = Runtime(host_netns, CONFIGS[name])
    answer = await runtime.call(runtime.reference, Verb.ADD)
    await runtime.call(runtime.builtin, Verb.CHECK, prevResult=answer)
    await runtime.call(runtime.builtin, Verb.DEL, prevResult=answer)
    await runtime.builtin.aclose()
    assert (reserved(), rules_of_pods(host_netns)) == (set(), set())
    assert host_netns.links() <= {"cni0"}


@pytest.mark.parametrize("name", CONFIGS)
async def test_the_reference_deletes_what_built_in_added(host_netns: Host, name: str) -> None:
    runtime = Runtime(host_netns, CONFIGS[name])
    answer = await runtime.call(runtime.builtin, Verb.ADD)
    await runtime.call(runtime.reference, Verb.CHECK, prevResult=answer)
    await runtime.call(runtime.reference, Verb.DEL, prevResult=answer)
    assert reserved() == set()
    assert host_netns.links() <= {"cni0"}
    if runtime.config.get("ipMasq"):  # our own table: GC takes what the executable does not know
        await runtime.call(runtime.builtin, Verb.GC, **{"cni.dev/valid-attachments": []})
    assert rules_of_pods(host_netns) == set()


@pytest.mark.parametrize("executable", ["bridge", "host-local"])
async def test_one_built_in_and_the_other_an_executable(host_netns: Host, executable: str) -> None:
    runtime = Runtime(host_netns, CONFIGS["bridge"])
    mixed = ChoosingInvoker(runtime.reference, types={executable: Mode.EXEC})
    answer = await runtime.call(mixed, Verb.ADD)
    assert host_netns.can_reach("10.1.0.1", netns=runtime.netns)
    await runtime.call(mixed, Verb.CHECK, prevResult=answer)
    await runtime.call(mixed, Verb.DEL, prevResult=answer)
    await mixed.aclose()
    assert reserved() == set()
