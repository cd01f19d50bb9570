from __future__ import annotations

from typing import Any

import pytest

from cni_runtime.call import Verb
from cni_runtime.errors import CniError, ConfigError
from cni_runtime.plugins.base import Context
from cni_runtime.plugins.delegate import IpamConfig, ipam_addresses, ipam_call
from cni_runtime.testing.invoker import FakeInvoker
from tests.unit.cni_runtime.plugins.conftest import MakeCall

pytestmark = pytest.mark.anyio

IPAM = IpamConfig("host-local")


async def test_addresses_stay_when_all_goes_well(call: MakeCall, context: Context, delegates: FakeInvoker) -> None:
    async with ipam_addresses(call("bridge", ipam={"type": "host-local"}), context, IPAM) as result:
        assert result.ips[0].address == "10.88.0.2/16"
    assert delegates.verbs() == ["ADD host-local"]


async def test_addresses_are_given_back_when_the_plugin_fails(
    call: MakeCall, context: Context, delegates: FakeInvoker
) -> None:
    with pytest.raises(OSError, match="no kernel"):
        async with ipam_addresses(call("bridge"), context, IPAM):
            raise OSError("no kernel")
    assert delegates.verbs() == ["ADD host-local", "DEL host-local"]


async def test_an_answer_without_a_version_to_a_configuration_without_one(
    call: MakeCall, context: Context, delegates: FakeInvoker
) -> None:
    delegates.script("host-local", Verb.ADD, {"ip4": {"ip": "10.1.0.2/24"}})
    async with ipam_addresses(call("bridge", cniVersion=""), context, IPAM) as result:
        assert [ip.address for ip in result.ips] == ["10.1.0.2/24"]


@pytest.mark.parametrize("answer", [{"cniVersion": "1.0.0"}, {"cniVersion": "1.0.0", "ips": []}])
async def test_no_address_is_an_error(
    call: MakeCall, context: Context, delegates: FakeInvoker, answer: dict[str, Any]
) -> None:
    delegates.script("host-local", Verb.ADD, answer)
    with pytest.raises(ConfigError, match="gave no address"):
        async with ipam_addresses(call("bridge"), context, IPAM):
            pass
    assert delegates.verbs() == ["ADD host-local", "DEL host-local"]


async def test_an_undo_that_fails_is_told(call: MakeCall, context: Context, delegates: FakeInvoker) -> None:
    delegates.script("host-local", Verb.DEL, CniError("disk full"))
    with pytest.raises(OSError, match="no kernel") as caught:
        async with ipam_addresses(call("bridge"), context, IPAM):
            raise OSError("no kernel")
    assert "disk full" in caught.value.__notes__[0]


async def test_an_ipam_plugin_that_is_not_there_gets_no_del(
    call: MakeCall, context: Context, delegates: FakeInvoker
) -> None:
    delegates.script("host-local", Verb.ADD, CniError("not found", nothing_done=True))
    with pytest.raises(CniError, match="not found"):
        async with ipam_addresses(call("bridge"), context, IPAM):
            pass
    assert delegates.verbs() == ["ADD host-local"]


async def test_without_an_ipam_plugin_nobody_is_asked(call: MakeCall, context: Context, delegates: FakeInvoker) -> None:
    await ipam_call(call("bridge", verb=Verb.DEL), context, IpamConfig())
    assert delegates.calls == []


@pytest.mark.parametrize("name", ["../evil", "a/b", ".."])
async def test_a_path_is_no_plugin(call: MakeCall, context: Context, delegates: FakeInvoker, name: str) -> None:
    with pytest.raises(ConfigError, match="without a path"):
        await ipam_call(call("bridge"), context, IpamConfig(name))
    assert delegates.calls == []
