from __future__ import annotations

import logging
from typing import Any

import pytest

from cni_runtime.call import Verb
from cni_runtime.errors import ConfigError
from cni_runtime.plugins.base import Context
from cni_runtime.plugins.portmap.plugin import Portmap
from tests.unit.cni_runtime.plugins.conftest import MakeCall

pytestmark = pytest.mark.anyio

PREVIOUS: dict[str, Any] = {"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.2/24"}]}
PORTMAP = Portmap()


@pytest.mark.parametrize("runtime", [{}, {"runtimeConfig": None}, {"runtimeConfig": {"portMappings": []}}])
async def test_without_ports_the_result_is_passed_on_and_nothing_done(
    call: MakeCall, context: Context, runtime: dict[str, Any]
) -> None:
    made = call("portmap", prevResult=PREVIOUS, **runtime)
    assert [ip.address for ip in (await PORTMAP.add(made, context)).ips] == ["10.1.0.2/24"]
    await PORTMAP.check(made, context)
    await PORTMAP.delete(made, context)


async def test_add_needs_a_result(call: MakeCall, context: Context) -> None:
    with pytest.raises(ConfigError, match="prevResult"):
        await PORTMAP.add(call("portmap"), context)


async def test_a_port_that_no_address_is_there_for_is_a_warning(
    call: MakeCall, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    mapping = {"hostPort": 1, "containerPort": 2, "hostIP": "::1"}
    made = call("portmap", prevResult=PREVIOUS, runtimeConfig={"portMappings": [mapping]})
    with caplog.at_level(logging.WARNING):
        await PORTMAP.add(made, context)
    assert "no address of c for any of the ports" in caplog.text


async def test_gc_without_a_list_does_nothing(call: MakeCall, context: Context) -> None:
    with pytest.raises(ConfigError, match="valid-attachments"):
        await PORTMAP.gc(call("portmap", verb=Verb.GC), context)
