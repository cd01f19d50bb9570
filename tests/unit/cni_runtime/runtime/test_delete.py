"""DEL: the chain backwards, with what ADD gave."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from cni_runtime.cache import CachedAttachment, ResultCache
from cni_runtime.call import Verb
from cni_runtime.conf.types import NetworkList
from cni_runtime.errors import CniError, PluginError
from cni_runtime.runtime import Attachment, ChainError, CniRuntime
from cni_runtime.testing.invoker import FakeInvoker

pytestmark = pytest.mark.anyio
MakeNetwork = Callable[..., NetworkList]


async def test_the_last_plugin_is_first_and_all_know_the_final_result(
    runtime: CniRuntime, invoker: FakeInvoker, cache: ResultCache, attachment: Attachment, make_network: MakeNetwork
) -> None:
    network = make_network("bridge", "portmap")
    added = await runtime.add(network, attachment)
    steps = await runtime.delete(network, attachment)
    assert [(step.plugin, step.verb) for step in steps] == [("portmap", "DEL"), ("bridge", "DEL")]
    assert [call.config["prevResult"] for call in invoker.calls[2:]] == [added.raw, added.raw]
    assert cache.read("net", "c1", "eth0") is None


async def test_it_can_be_repeated_and_needs_neither_cache_nor_namespace(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, make_network: MakeNetwork
) -> None:
    gone = msgspec.structs.replace(attachment, netns=None)
    await runtime.delete(make_network("bridge"), gone)
    await runtime.delete(make_network("bridge"), gone)
    assert [call.netns for call in invoker.calls] == [None, None]
    assert "prevResult" not in invoker.calls[0].config


async def test_before_0_4_0_there_is_no_previous_result(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, make_network: MakeNetwork
) -> None:
    network = make_network("bridge", version="0.3.1")
    await runtime.add(network, attachment)
    await runtime.delete(network, attachment)
    assert "prevResult" not in invoker.calls[-1].config


async def test_it_stops_at_the_first_error_and_keeps_the_cache(
    runtime: CniRuntime, invoker: FakeInvoker, cache: ResultCache, attachment: Attachment, make_network: MakeNetwork
) -> None:
    network = make_network("bridge", "portmap")
    await runtime.add(network, attachment)
    invoker.script("portmap", Verb.DEL, PluginError("no", plugin="portmap", verb="DEL"))
    with pytest.raises(PluginError, match="plugin portmap DEL"):
        await runtime.delete(network, attachment)
    assert invoker.verbs()[2:] == ["DEL portmap"]
    assert cache.read("net", "c1", "eth0") is not None


async def test_only_the_plugins_that_have_begun(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, make_network: MakeNetwork
) -> None:
    await runtime.delete(make_network("bridge", "portmap", "firewall"), attachment, begun=2)
    assert invoker.verbs() == ["DEL portmap", "DEL bridge"]


async def test_the_hook_is_told_each_plugin(
    runtime: CniRuntime, attachment: Attachment, make_network: MakeNetwork
) -> None:
    told: list[tuple[int, str]] = []

    async def before(index: int, plugin: str) -> None:
        told.append((index, plugin))

    await runtime.delete(make_network("bridge", "portmap"), attachment, before=before)
    assert told == [(1, "portmap"), (0, "bridge")]


@pytest.mark.parametrize("result", [{"cniVersion": "9.0.0"}, {"cniVersion": "1.0.0", "ips": 1}, {}])
async def test_a_bad_cached_result_is_treated_as_absent(
    runtime: CniRuntime,
    invoker: FakeInvoker,
    cache: ResultCache,
    attachment: Attachment,
    make_network: MakeNetwork,
    result: dict[str, Any],
) -> None:
    cache.write(CachedAttachment(container_id="c1", config=b"", if_name="eth0", network_name="net", result=result))
    await runtime.delete(make_network("bridge"), attachment)
    assert "prevResult" not in invoker.calls[0].config
    assert cache.attachments("net") == []


async def test_the_cached_result_is_handed_on_in_the_networks_version(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, make_network: MakeNetwork
) -> None:
    await runtime.add(make_network("bridge", version="0.4.0"), attachment)
    await runtime.delete(make_network("bridge", version="1.1.0"), attachment)
    previous = invoker.calls[-1].config["prevResult"]
    assert previous["cniVersion"] == "1.1.0"
    assert "version" not in previous["ips"][0]


async def test_no_name_reaches_out_of_the_cache(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, make_network: MakeNetwork
) -> None:
    with pytest.raises(CniError):
        await runtime.delete(make_network("bridge"), msgspec.structs.replace(attachment, container_id="x/../../y"))
    assert invoker.calls == []


async def test_what_is_only_in_the_cache_is_deleted_as_it_was_added(
    runtime: CniRuntime, invoker: FakeInvoker, cache: ResultCache, attachment: Attachment, make_network: MakeNetwork
) -> None:
    other = msgspec.structs.replace(attachment, container_id="c2")
    for wanted in (attachment, other):
        await runtime.add(make_network("bridge"), wanted)
    await runtime.delete_cached(attachment.container_id)
    deleted = invoker.calls[-1]
    assert (deleted.verb, deleted.container_id, deleted.netns) == (Verb.DEL, "c1", attachment.netns)
    assert [kept.container_id for kept in cache.attachments("net")] == ["c2"]


async def test_the_rest_of_the_cache_is_deleted_although_one_fails(
    runtime: CniRuntime, invoker: FakeInvoker, cache: ResultCache, attachment: Attachment, make_network: MakeNetwork
) -> None:
    for wanted in (attachment, msgspec.structs.replace(attachment, ifname="eth1")):
        await runtime.add(make_network("bridge"), wanted)
    invoker.script("bridge", Verb.DEL, PluginError("busy", plugin="bridge", verb="DEL"))
    with pytest.raises(ChainError, match="busy"):
        await runtime.delete_cached(attachment.container_id)
    assert [kept.if_name for kept in cache.attachments("net")] == ["eth0"]


@pytest.mark.parametrize("verb", ["add", "delete", "check"])
async def test_the_namespace_of_the_host_is_refused(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, make_network: MakeNetwork, verb: str
) -> None:
    host = msgspec.structs.replace(attachment, netns="/proc/self/ns/net")
    with pytest.raises(CniError, match="the namespace of the host"):
        await getattr(runtime, verb)(make_network("bridge"), host)
    assert invoker.calls == []
