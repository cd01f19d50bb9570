"""CHECK, STATUS and VERSION."""

from collections.abc import Callable
from typing import Any

import pytest

from cni_runtime.call import Verb
from cni_runtime.conf.types import NetworkList
from cni_runtime.errors import ConfigError, DecodeError, ErrorCode, PluginError, VersionError
from cni_runtime.runtime import Attachment, CniRuntime
from cni_runtime.testing.invoker import FakeInvoker

pytestmark = pytest.mark.anyio
MakeNetwork = Callable[..., NetworkList]


async def test_check_goes_through_the_chain_with_the_cached_result(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, make_network: MakeNetwork
) -> None:
    network = make_network("bridge", "portmap", version="0.4.0")
    added = await runtime.add(network, attachment)
    steps = await runtime.check(network, attachment)
    assert [step.plugin for step in steps] == ["bridge", "portmap"]
    assert [call.config["prevResult"] for call in invoker.calls[2:]] == [added.raw, added.raw]


async def test_check_stops_at_the_first_error(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, make_network: MakeNetwork
) -> None:
    invoker.script("bridge", Verb.CHECK, PluginError("gone", plugin="bridge", verb="CHECK"))
    with pytest.raises(PluginError, match="gone"):
        await runtime.check(make_network("bridge", "portmap"), attachment)
    assert invoker.verbs() == ["CHECK bridge"]


async def test_check_can_be_disabled(
    runtime: CniRuntime, invoker: FakeInvoker, attachment: Attachment, make_network: MakeNetwork
) -> None:
    assert await runtime.check(make_network("bridge", disableCheck=True), attachment) == ()
    assert invoker.calls == []


async def test_check_is_unknown_before_0_4_0(
    runtime: CniRuntime, attachment: Attachment, make_network: MakeNetwork
) -> None:
    with pytest.raises(VersionError, match=r"0\.3\.1 has no CHECK"):
        await runtime.check(make_network("bridge", version="0.3.1"), attachment)


async def test_status_asks_every_plugin(runtime: CniRuntime, invoker: FakeInvoker, make_network: MakeNetwork) -> None:
    await runtime.status(make_network("bridge", "portmap", version="1.1.0"))
    assert invoker.verbs() == ["STATUS bridge", "STATUS portmap"]
    assert (invoker.calls[0].container_id, invoker.calls[0].netns) == ("", None)


async def test_status_gives_the_plugins_own_error(
    runtime: CniRuntime, invoker: FakeInvoker, make_network: MakeNetwork
) -> None:
    refusal = PluginError("no lease", plugin="bridge", verb="STATUS", code=ErrorCode.LIMITED_CONNECTIVITY)
    invoker.script("bridge", Verb.STATUS, refusal)
    with pytest.raises(PluginError) as caught:
        await runtime.status(make_network("bridge", "portmap", version="1.1.0"))
    assert caught.value is refusal


async def test_status_is_unknown_before_1_1_0(
    runtime: CniRuntime, invoker: FakeInvoker, make_network: MakeNetwork
) -> None:
    assert await runtime.status(make_network("bridge")) == ()
    assert invoker.calls == []


async def test_version_lists_what_a_plugin_speaks(runtime: CniRuntime, invoker: FakeInvoker) -> None:
    assert "1.1.0" in await runtime.version("bridge")
    assert invoker.calls[0].config == {"cniVersion": "1.1.0"}


async def test_a_plugin_of_0_2_0_does_not_list(runtime: CniRuntime, invoker: FakeInvoker) -> None:
    invoker.script("bridge", Verb.VERSION, {"cniVersion": "0.2.0"})
    assert await runtime.version("bridge") == ("0.1.0", "0.2.0")


@pytest.mark.parametrize("reply", [None, {}, {"cniVersion": 1}, {"cniVersion": "1.0.0", "supportedVersions": "1.0.0"}])
async def test_a_bad_answer_to_version(runtime: CniRuntime, invoker: FakeInvoker, reply: dict[str, Any] | None) -> None:
    invoker.script("bridge", Verb.VERSION, reply)
    with pytest.raises(DecodeError, match="plugin bridge"):
        await runtime.version("bridge")


async def test_version_takes_no_path(runtime: CniRuntime) -> None:
    with pytest.raises(ConfigError, match="plugin type"):
        await runtime.version("../sh")
