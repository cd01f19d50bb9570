"""A failed or cancelled ADD is undone."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from cni_runtime.cache import ResultCache
from cni_runtime.call import PluginCall, Verb
from cni_runtime.conf.parse import parse_network_list
from cni_runtime.conf.types import NetworkList
from cni_runtime.errors import CniError, ErrorCode, PluginError
from cni_runtime.invoke.choose import ChoosingInvoker
from cni_runtime.invoke.executable import ExecutableInvoker
from cni_runtime.runtime import Attachment, CniRuntime, RollbackError
from cni_runtime.testing.invoker import FakeInvoker, never

pytestmark = pytest.mark.anyio
MakeNetwork = Callable[..., NetworkList]


def _failure(plugin: str, verb: str = "ADD", code: int = 11) -> PluginError:
    return PluginError("no", plugin=plugin, verb=verb, code=code, elapsed=0.01)


MISSING = PluginError("not found", plugin="portmap", verb="ADD", nothing_done=True)


@pytest.fixture
def network(make_network: MakeNetwork) -> NetworkList:
    return make_network("bridge", "portmap", "firewall")


async def test_the_plugins_that_have_run_get_a_del_last_one_first(
    runtime: CniRuntime, invoker: FakeInvoker, cache: ResultCache, attachment: Attachment, network: NetworkList
) -> None:
    invoker.script("portmap", Verb.ADD, _failure("portmap"))
    with pytest.raises(PluginError, match="plugin portmap ADD"):
        await runtime.add(network, attachment)
    assert invoker.verbs() == ["ADD bridge", "ADD portmap", "DEL portmap", "DEL bridge"]
    assert cache.attachments("net") == []
    assert invoker.attached == set()


async def test_the_del_knows_the_result_so_far(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, network: NetworkList
) -> None:
    invoker.script("portmap", Verb.ADD, _failure("portmap"))
    with pytest.raises(PluginError):
        await runtime.add(network, attachment)
    assert invoker.calls[2].config["prevResult"]["ips"][0]["address"] == "10.88.0.2/16"
    assert invoker.calls[2].config["runtimeConfig"] == {"portMappings": [{"hostPort": 80}]}


async def test_a_plugin_that_is_not_there_needs_no_del(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, network: NetworkList
) -> None:
    invoker.script("portmap", Verb.ADD, MISSING)
    with pytest.raises(PluginError, match="not found"):
        await runtime.add(network, attachment)
    assert invoker.verbs() == ["ADD bridge", "ADD portmap", "DEL bridge"]


async def test_a_del_after_the_undo_failed_needs_no_plugin_that_is_not_there(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, network: NetworkList
) -> None:
    invoker.script("portmap", Verb.ADD, MISSING)
    invoker.script("bridge", Verb.DEL, _failure("bridge", "DEL"))
    with pytest.raises(RollbackError) as caught:
        await runtime.add(network, attachment)
    await runtime.delete(network, attachment, begun=caught.value.begun)
    assert invoker.verbs() == ["ADD bridge", "ADD portmap", "DEL bridge", "DEL bridge"]


async def test_a_plugin_whose_ipam_plugin_is_not_there_needs_no_del(
    attachment: Attachment, make_network: MakeNetwork, tmp_path: Path
) -> None:
    invoker = ChoosingInvoker(ExecutableInvoker(), state=tmp_path, data=tmp_path)
    network = parse_network_list(
        b'{"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "bridge", "ipam": {"type": "gone"}}]}', "x"
    )
    with pytest.raises(PluginError, match=r"plugin gone ADD .* executable not found"):
        await CniRuntime(invoker, path=[tmp_path], cache_dir=tmp_path).add(network, attachment)
    await invoker.aclose()


async def test_without_rollback_nothing_is_undone(
    runtime: CniRuntime, invoker: FakeInvoker, cache: ResultCache, attachment: Attachment, network: NetworkList
) -> None:
    invoker.script("portmap", Verb.ADD, _failure("portmap"))
    with pytest.raises(PluginError):
        await runtime.add(network, attachment, rollback=False)
    assert invoker.verbs() == ["ADD bridge", "ADD portmap"]
    assert cache.read("net", "c1", "eth0") is not None


async def test_the_undo_goes_on_after_an_error_and_both_errors_are_told(
    runtime: CniRuntime, invoker: FakeInvoker, cache: ResultCache, attachment: Attachment, network: NetworkList
) -> None:
    invoker.script("firewall", Verb.ADD, _failure("firewall"))
    invoker.script("portmap", Verb.DEL, _failure("portmap", "DEL", 5), ValueError("bug"))
    with pytest.raises(RollbackError, match=r"plugin firewall ADD.*plugin portmap DEL") as caught:
        await runtime.add(network, attachment)
    assert invoker.verbs()[-3:] == ["DEL firewall", "DEL portmap", "DEL bridge"]
    assert [str(error)[:19] for error in caught.value.errors] == ["plugin firewall ADD", "plugin portmap DEL "]
    assert caught.value.code == 11
    assert caught.value.__cause__ is caught.value.errors[0]
    assert cache.read("net", "c1", "eth0") is not None


async def test_a_plugin_that_hangs_in_del_does_not_keep_the_others(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, network: NetworkList
) -> None:
    invoker.script("firewall", Verb.ADD, ValueError("bug"))
    invoker.script("firewall", Verb.DEL, never)
    with anyio.fail_after(1), pytest.raises(RollbackError, match=r"bug; plugin firewall DEL .*no answer in time"):
        await runtime.add(network, attachment)
    assert invoker.attached == {("firewall", "c1")}


async def test_a_hook_that_fails_undoes_what_was_before_it(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, network: NetworkList
) -> None:
    async def before(index: int, plugin: str) -> None:
        if index == 1:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await runtime.add(network, attachment, before=before)
    assert invoker.verbs() == ["ADD bridge", "DEL bridge"]


async def test_a_cache_that_cannot_be_written_undoes_the_plugin(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, network: NetworkList, tmp_path: Path
) -> None:
    (tmp_path / "results").touch()
    with pytest.raises(CniError, match="cannot keep the result") as caught:
        await runtime.add(network, attachment)
    assert "ADD bridge" in invoker.verbs()
    assert invoker.attached == set()
    assert caught.value.code == ErrorCode.IO_FAILURE


async def _slow(call: PluginCall) -> None:
    await anyio.sleep(0.05)


async def test_an_anyio_cancellation_waits_for_the_undo(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, network: NetworkList
) -> None:
    invoker.script("portmap", Verb.ADD, never)
    invoker.script("bridge", Verb.DEL, _slow)
    with anyio.move_on_after(0.02) as scope:
        await runtime.add(network, attachment)
    assert scope.cancelled_caught
    assert invoker.verbs()[-2:] == ["DEL portmap", "DEL bridge"]
    assert invoker.attached == set()


async def test_cancelling_the_task_again_and_again_waits_for_the_undo(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, network: NetworkList
) -> None:
    invoker.script("portmap", Verb.ADD, never)
    invoker.script("bridge", Verb.DEL, _slow)
    task = asyncio.create_task(runtime.add(network, attachment))
    for _ in range(4):
        await asyncio.sleep(0.01)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert invoker.attached == set()


async def test_a_cancellation_during_the_undo_of_an_error_is_not_lost(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, network: NetworkList
) -> None:
    invoker.script("portmap", Verb.ADD, _failure("portmap"))
    invoker.script("portmap", Verb.DEL, _slow)
    task = asyncio.create_task(runtime.add(network, attachment))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert invoker.attached == set()


async def test_an_undo_that_fails_after_a_cancellation_is_logged_and_kept(
    runtime: CniRuntime,
    invoker: FakeInvoker,
    cache: ResultCache,
    attachment: Attachment,
    network: NetworkList,
    caplog: pytest.LogCaptureFixture,
) -> None:
    invoker.script("portmap", Verb.ADD, never)
    invoker.script("bridge", Verb.DEL, _failure("bridge", "DEL"))
    with anyio.move_on_after(0.02), caplog.at_level(logging.ERROR):
        await runtime.add(network, attachment)
    assert "plugin bridge DEL" in caplog.text
    assert cache.read("net", "c1", "eth0") is not None
