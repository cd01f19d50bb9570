"""Plugins that misbehave behind a real bridge: a typed error in time, everything undone, no process left."""

import json
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from cni_runtime.cache import DEFAULT_DIR
from cni_runtime.conf.parse import parse_network_list
from cni_runtime.conf.types import NetworkList
from cni_runtime.errors import ErrorCode, PluginError
from cni_runtime.invoke.executable import ExecutableInvoker
from cni_runtime.runtime import Attachment, CniRuntime, RollbackError
from cni_runtime.testing.host import Host
from tests.lab.conflists import DEBIAN, bridge, conflist

pytestmark = pytest.mark.anyio

_TIMEOUT = 0.5  # seconds a plugin may take; the real ones need far less
_CASES = {
    "hangs": (r"did not end within 0\.5 s", ErrorCode.INTERNAL, 9),
    "hangs-stubbornly": (r"did not end within 0\.5 s", ErrorCode.INTERNAL, 9),
    "prints-garbage": ("no JSON .*Segmentation fault", ErrorCode.DECODING_FAILURE, None),
    "prints-garbage-and-fails": ("status 1 and printed no CNI error: .*Traceback", ErrorCode.DECODING_FAILURE, None),
    "fails-with-an-error": ("no luck: the pool is empty", 142, None),
    "fails-silently": ("exited with status 3 without an error message", ErrorCode.INTERNAL, None),
    "dies-of-a-signal": ("died of SIGSEGV", ErrorCode.INTERNAL, 11),
    "floods": ("printed more than 1048576 bytes", ErrorCode.DECODING_FAILURE, 9),
    "leaves-a-child-and-fails": ("the child goes on", ErrorCode.INTERNAL, None),
    "is-not-there": ("executable not found, searched: /usr/lib/cni, ", ErrorCode.PLUGIN_NOT_AVAILABLE, None),
}
_Pods = Callable[[], Attachment]


def _network(plugin: str, hostile_to: str) -> NetworkList:
    plugins = bridge("cni0", "10.88.0.0/24"), {"type": plugin, "hostileTo": hostile_to}
    return parse_network_list(json.dumps(conflist("net", *plugins, version=DEBIAN.cni_version)), "test")


@pytest.fixture
def runtime() -> CniRuntime:
    path = [DEBIAN.directory, Path(__file__).parent / "hostile"]
    return CniRuntime(ExecutableInvoker(timeout=_TIMEOUT), path=path, rollback_timeout=5)


def _traces(host: Host) -> set[str]:
    """What is there of any pod: devices, addresses taken, cached results."""
    files = [path for place in ("networks/net", "results") for path in (DEFAULT_DIR / place).glob("[0-9n]*")]
    return host.links() - {"cni0"} | {path.name for path in files}


async def _no_process_is_left(host: Host) -> None:
    with anyio.fail_after(2):
        while host.processes():  # noqa: ASYNC110 - killed processes need a moment to go
            await anyio.sleep(0.01)


@pytest.mark.parametrize("plugin", _CASES)
async def test_a_hostile_add_is_a_typed_error_and_undone(
    plugin: str, runtime: CniRuntime, make_pod: _Pods, host_netns: Host
) -> None:
    message, code, signal = _CASES[plugin]
    with anyio.fail_after(5), pytest.raises(PluginError, match=f"plugin {plugin} ADD .*{message}") as caught:
        await runtime.add(_network(plugin, "ADD"), make_pod())
    assert (caught.value.code, caught.value.signal) == (code, signal)
    assert _traces(host_netns) == set()
    await _no_process_is_left(host_netns)


@pytest.mark.parametrize("plugin", [name for name in _CASES if name not in ("prints-garbage", "is-not-there")])
async def test_a_hostile_delete_keeps_what_a_later_one_needs(
    plugin: str, runtime: CniRuntime, make_pod: _Pods, host_netns: Host
) -> None:
    pod = make_pod()
    await runtime.add(_network(plugin, "DEL"), pod)
    with anyio.fail_after(5), pytest.raises(PluginError, match=f"plugin {plugin} DEL .*{_CASES[plugin][0]}"):
        await runtime.delete(_network(plugin, "DEL"), pod)
    assert {"10.88.0.2", f"net-{pod.container_id}-eth0"} <= _traces(host_netns)
    await runtime.delete(_network(plugin, ""), pod)
    assert _traces(host_netns) == set()
    await _no_process_is_left(host_netns)


async def test_when_add_and_its_undoing_hang_both_are_reported(
    runtime: CniRuntime, make_pod: _Pods, host_netns: Host
) -> None:
    pod = make_pod()
    with anyio.fail_after(5), pytest.raises(RollbackError, match="net: ADD and its undoing") as caught:
        await runtime.add(_network("hangs-stubbornly", "ADD DEL"), pod)
    errors = [error for error in caught.value.errors if isinstance(error, PluginError)]
    assert [(error.plugin, error.verb) for error in errors] == [
        ("hangs-stubbornly", "ADD"),
        ("hangs-stubbornly", "DEL"),
    ]
    await _no_process_is_left(host_netns)
    await runtime.delete(_network("hangs-stubbornly", ""), pod)
    assert _traces(host_netns) == set()


async def test_a_cancelled_add_is_undone(make_pod: _Pods, host_netns: Host) -> None:
    path = [DEBIAN.directory, Path(__file__).parent / "hostile"]
    runtime = CniRuntime(ExecutableInvoker(), path=path)
    with anyio.move_on_after(0.5) as scope:
        await runtime.add(_network("hangs-stubbornly", "ADD"), make_pod())
    assert scope.cancelled_caught
    assert _traces(host_netns) == set()
    await _no_process_is_left(host_netns)
