"""GC: what belongs to nobody goes."""

from collections.abc import Callable, Iterator
from typing import Any

import anyio
import msgspec
import pytest

from cni_runtime.cache import ResultCache
from cni_runtime.call import PluginCall, Verb
from cni_runtime.conf.types import NetworkList
from cni_runtime.errors import PluginError
from cni_runtime.runtime import Attachment, ChainError, CniRuntime
from cni_runtime.testing.invoker import FakeInvoker

pytestmark = pytest.mark.anyio
MakeNetwork = Callable[..., NetworkList]


@pytest.fixture
def other(attachment: Attachment) -> Attachment:
    return msgspec.structs.replace(attachment, container_id="c2")


async def test_stale_attachments_are_deleted_as_they_were_added(
    runtime: CniRuntime,
    invoker: FakeInvoker,
    cache: ResultCache,
    attachment: Attachment,
    other: Attachment,
    make_network: MakeNetwork,
) -> None:
    network = make_network("bridge")
    for wanted in (attachment, other):
        await runtime.add(network, wanted)
    await runtime.gc(network, [("c2", "eth0"), ("c1", "eth1")])
    assert [kept.container_id for kept in cache.attachments("net")] == ["c2"]
    deleted = invoker.calls[-1]
    assert (deleted.verb, deleted.container_id, deleted.netns) == (Verb.DEL, "c1", "/run/netns/a")
    assert deleted.args == attachment.args


async def test_plugins_of_1_1_0_are_told_what_is_valid(
    runtime: CniRuntime, invoker: FakeInvoker, make_network: MakeNetwork
) -> None:
    steps = await runtime.gc(make_network("bridge", "portmap", version="1.1.0"), [("c1", "eth0")])
    assert [(step.plugin, step.verb) for step in steps] == [("bridge", "GC"), ("portmap", "GC")]
    valid = [{"containerID": "c1", "ifname": "eth0"}]
    assert [call.config["cni.dev/valid-attachments"] for call in invoker.calls] == [valid, valid]


async def test_gc_can_be_disabled(
    runtime: CniRuntime, invoker: FakeInvoker, cache: ResultCache, attachment: Attachment, make_network: MakeNetwork
) -> None:
    network = make_network("bridge", version="1.1.0", disableGC=True)
    await runtime.add(network, attachment)
    assert await runtime.gc(network, []) == ()
    assert invoker.verbs() == ["ADD bridge"]


async def test_it_goes_on_after_errors_and_tells_all(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, other: Attachment, make_network: MakeNetwork
) -> None:
    network = make_network("bridge", "portmap", version="1.1.0")
    for wanted in (attachment, other):
        await runtime.add(network, wanted)
    invoker.script("portmap", Verb.DEL, PluginError("first", plugin="portmap", verb="DEL"))
    invoker.script("bridge", Verb.GC, PluginError("second", plugin="bridge", verb="GC"))
    with pytest.raises(ChainError, match=r"first; .*second") as caught:
        await runtime.gc(network, [])
    assert len(caught.value.errors) == 2
    assert invoker.verbs()[4:] == ["DEL portmap", "DEL portmap", "DEL bridge", "GC bridge", "GC portmap"]


async def test_valid_attachments_are_read_when_no_add_is_running(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, make_network: MakeNetwork
) -> None:
    network, go_on, seen = make_network("bridge"), anyio.Event(), list[str]()

    async def slow(call: PluginCall) -> dict[str, Any]:
        await go_on.wait()
        return {}

    def valid() -> Iterator[tuple[str, str]]:
        seen.append("read")
        yield "c1", "eth0"

    invoker.script("bridge", Verb.ADD, slow)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runtime.add, network, attachment)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(runtime.gc, network, valid())
        await anyio.wait_all_tasks_blocked()
        assert seen == []
        go_on.set()
    assert (seen, invoker.verbs()) == (["read"], ["ADD bridge"])
