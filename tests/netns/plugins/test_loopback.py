"""loopback on a real kernel."""

from __future__ import annotations

import pytest

from cni_runtime.errors import PluginError
from tests.netns.plugins.conftest import Config, Pods

pytestmark = pytest.mark.anyio

LOOPBACK: Config = {"cniVersion": "1.1.0", "name": "lo", "type": "loopback"}


async def test_up_checked_and_down(pods: Pods) -> None:
    answer = await pods.add("a", LOOPBACK, "any")
    assert [ip["address"] for ip in answer["ips"]] == ["127.0.0.1/8", "::1/128"]
    await pods.check("a", LOOPBACK, answer)
    await pods.delete("a", LOOPBACK)
    with pytest.raises(PluginError, match="lo is down"):
        await pods.check("a", LOOPBACK, answer)


async def test_delete_when_the_namespace_is_gone(pods: Pods) -> None:
    await pods.add("a", LOOPBACK)
    pods.host.run("ip", "netns", "del", "a")
    await pods.delete("a", LOOPBACK)
    await pods.delete("never", LOOPBACK)


async def test_a_previous_result_is_passed_on(pods: Pods) -> None:
    previous = {"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.5/24"}]}
    assert await pods.add("a", {**LOOPBACK, "prevResult": previous}) == previous


async def test_a_path_that_is_no_namespace(pods: Pods) -> None:
    pods.netns["a"] = pods.host.add_netns("a").parent
    with pytest.raises(PluginError, match="not a network namespace"):
        await pods.add("a", LOOPBACK)
