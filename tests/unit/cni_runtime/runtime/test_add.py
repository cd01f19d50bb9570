"""ADD: what each plugin is told, what comes back, what is kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cni_runtime.cache import CachedAttachment, ResultCache
from cni_runtime.call import PluginCall, Verb
from cni_runtime.conf.types import NetworkList
from cni_runtime.errors import CniError, ErrorCode, PluginError
from cni_runtime.runtime import Attachment, CniRuntime
from cni_runtime.testing.invoker import FakeInvoker

pytestmark = pytest.mark.anyio
MakeNetwork = Callable[..., NetworkList]

ADDRESS = {"ips": [{"address": "10.0.0.2/24"}]}


async def test_plugins_are_called_in_order_with_everything_they_need(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, make_network: MakeNetwork
) -> None:
    added = await runtime.add(make_network("bridge", "portmap"), attachment)
    first, second = invoker.calls
    assert first == PluginCall(
        verb=Verb.ADD,
        type="bridge",
        config={"type": "bridge", "capabilities": {"portMappings": False}, "name": "net", "cniVersion": "1.0.0"},
        container_id="c1",
        netns="/run/netns/a",
        ifname="eth0",
        args=(("K8S_POD_NAME", "web"),),
        path=(Path("/opt/cni/bin"),),
    )
    assert second.config["runtimeConfig"] == {"portMappings": [{"hostPort": 80}]}
    assert second.config["prevResult"] == added.raw


async def test_the_result_and_the_steps(runtime: CniRuntime, attachment: Attachment, make_network: MakeNetwork) -> None:
    added = await runtime.add(make_network("bridge", "portmap"), attachment)
    assert [(step.plugin, step.verb) for step in added.steps] == [("bridge", "ADD"), ("portmap", "ADD")]
    assert all(step.seconds > 0 for step in added.steps)
    assert added.raw["ips"] == [{"address": "10.88.0.2/16", "gateway": "10.88.0.1", "interface": 0}]
    assert added.result.ips[0].ip == "10.88.0.2"


async def test_the_cache_keeps_what_a_delete_needs(
    runtime: CniRuntime, cache: ResultCache, attachment: Attachment, make_network: MakeNetwork
) -> None:
    network = make_network("bridge")
    added = await runtime.add(network, attachment)
    assert cache.read("net", "c1", "eth0") == CachedAttachment(
        container_id="c1",
        config=network.raw.encode(),
        if_name="eth0",
        network_name="net",
        netns="/run/netns/a",
        cni_args=attachment.args,
        capability_args=attachment.capability_args,
        result=added.raw,
    )


async def test_the_result_so_far_is_kept_before_the_next_plugin_begins(
    runtime: CniRuntime, cache: ResultCache, attachment: Attachment, make_network: MakeNetwork
) -> None:
    seen: list[tuple[int, str, bool]] = []

    async def before(index: int, plugin: str) -> None:
        seen.append((index, plugin, cache.read("net", "c1", "eth0") is not None))

    await runtime.add(make_network("bridge", "firewall"), attachment, before=before)
    assert seen == [(0, "bridge", False), (1, "firewall", True)]


async def test_the_cache_keeps_what_a_later_plugin_changed(
    runtime: CniRuntime, invoker: FakeInvoker, cache: ResultCache, attachment: Attachment, make_network: MakeNetwork
) -> None:
    invoker.script("tuning", Verb.ADD, {"cniVersion": "1.0.0", **ADDRESS})
    added = await runtime.add(make_network("bridge", "tuning", "portmap"), attachment)
    kept = cache.read("net", "c1", "eth0")
    assert kept is not None
    assert kept.result == added.raw == {"cniVersion": "1.0.0", **ADDRESS}


@pytest.mark.parametrize(
    ("version", "reply", "expected"),
    [
        ("0.2.0", {"ip4": {"ip": "10.0.0.2/24"}}, {"ip4": {"ip": "10.0.0.2/24"}}),
        ("0.3.1", ADDRESS, {"ips": [{"version": "4", "address": "10.0.0.2/24"}]}),
        ("1.0.0", {**ADDRESS, "cniVersion": "0.3.1"}, ADDRESS),
        (
            "0.4.0",
            {"cniVersion": "0.2.0", "ip4": {"ip": "10.0.0.2/24"}},
            {"ips": [{"version": "4", **ADDRESS["ips"][0]}]},
        ),
        ("1.1.0", {"unknown": 1}, {}),
    ],
)
async def test_the_result_is_in_the_version_of_the_network(
    runtime: CniRuntime,
    invoker: FakeInvoker,
    attachment: Attachment,
    make_network: MakeNetwork,
    version: str,
    reply: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    invoker.script("bridge", Verb.ADD, reply)
    added = await runtime.add(make_network("bridge", version=version), attachment)
    assert added.raw == {"cniVersion": version, **expected}


@pytest.mark.parametrize(
    ("reply", "code"),
    [({"ips": 7}, ErrorCode.DECODING_FAILURE), ({"cniVersion": "7.0.0"}, ErrorCode.INCOMPATIBLE_VERSION)],
)
async def test_an_answer_that_is_no_result_is_the_plugins_error(
    runtime: CniRuntime,
    invoker: FakeInvoker,
    attachment: Attachment,
    make_network: MakeNetwork,
    reply: dict[str, Any],
    code: int,
) -> None:
    invoker.script("bridge", Verb.ADD, reply)
    with pytest.raises(PluginError, match=r"plugin bridge ADD") as caught:
        await runtime.add(make_network("bridge"), attachment)
    assert (caught.value.plugin, caught.value.verb, caught.value.code) == ("bridge", "ADD", code)
    assert caught.value.elapsed > 0


@pytest.mark.parametrize(
    "change",
    [
        {"container_id": ""},
        {"container_id": "../../etc"},
        {"ifname": "a" * 16},
        {"ifname": "a/b"},
        {"netns": None},
        {"netns": ""},
        {"args": (("K", "V;W=X"),)},
    ],
)
async def test_bad_attachments_are_refused_before_anything_is_done(
    runtime: CniRuntime,
    invoker: FakeInvoker,
    attachment: Attachment,
    make_network: MakeNetwork,
    change: dict[str, Any],
) -> None:
    with pytest.raises(CniError):
        await runtime.add(make_network("bridge"), msgspec.structs.replace(attachment, **change))
    assert invoker.calls == []
