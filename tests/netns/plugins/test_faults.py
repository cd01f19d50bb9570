"""kill -9 at every step of ADD and DEL of every plugin: a DEL in a new process leaves nothing, and an ADD succeeds.

The steps are those that a run reaches, by its own log of fault points: before each change of the kernel and of files.
A call is made by a forked child, as the runtime makes it: with its cache, and for all plugins of a network. All kills
of a test are on one host, which is clean in between, or the test fails.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import anyio
import pytest

from cni_runtime import faults
from cni_runtime.invoke.builtin import BuiltinInvoker
from cni_runtime.runtime import Attachment, CniRuntime
from cni_runtime.testing.host import Host
from tests.netns.plugins.every_plugin import NETWORKS, attachment, network, prepare, runs_here, state

_LOG = Path("/run/points")
_POD = Path("/run/netns/pod")
# Points that come immediately before a change.
_CHANGES = {"netlink.send", "sysctl.write", "nft.run", "netfilter.transact", "files.replace.write", "files.remove"}

Work = Callable[[CniRuntime, Attachment], Coroutine[Any, Any, object]]


class Node:
    """A host, and pods that come and go by processes that may be killed."""

    def __init__(self, host: Host, kind: str) -> None:
        self._host = host
        self._network = network(kind)
        host.add_netns("pod")
        # Here, so that the children need not import what it takes.
        anyio.run(_call, self._add_and_delete, "pod")

    def add(self, pod: str = "pod", fault: str = "") -> int:
        """ADD in a new process; how that ended."""
        return self._process(lambda runtime, one: runtime.add(self._network, one), pod, fault)

    def delete(self, pod: str = "pod", fault: str = "") -> int:
        """DEL in a new process; how that ended."""
        return self._process(lambda runtime, one: runtime.delete(self._network, one), pod, fault)

    def add_neighbour(self) -> None:
        """A pod that stays."""
        self._host.add_netns("neighbour")
        assert self.add("neighbour") == 0

    def learn(self) -> tuple[list[str], list[str]]:
        """The faults to be tried: every point that an undisturbed ADD reaches, and a DEL."""
        assert self.add() == 0
        adding = list(_points())
        assert self.delete() == 0
        return adding, list(_points())

    def state(self) -> frozenset[str]:
        """What is there on the host and in the pod."""
        return state(self._host, _POD)

    def left(self, wrong: Callable[[frozenset[str]], frozenset[str]]) -> frozenset[str]:
        """What is ``wrong`` with the state, for two seconds at least: the kernel tells late that a carrier has gone."""
        end = time.monotonic() + 2
        while (found := wrong(self.state())) and time.monotonic() < end:
            time.sleep(0.05)
        return found

    def forget(self) -> None:
        """Make it a host that has never had a pod."""
        self._host.run("ip", "link", "delete", "cni0", check=False)
        self._host.run("nft", "flush", "ruleset")
        for place in ("/var/lib/cni", "/run/cni-runtime"):
            shutil.rmtree(place, ignore_errors=True)

    async def _add_and_delete(self, runtime: CniRuntime, one: Attachment) -> None:
        await runtime.add(self._network, one)
        await runtime.delete(self._network, one)

    def _process(self, work: Work, pod: str, fault: str) -> int:
        _LOG.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                faults.arm(fault, str(_LOG))
                anyio.run(_call, work, pod)
                status = 0
            except BaseException as exc:
                os.write(2, f"{exc!r} {getattr(exc, '__notes__', '')}\n".encode())
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


async def _call(work: Work, pod: str) -> None:
    invoker = BuiltinInvoker()
    await work(CniRuntime(invoker, path=()), attachment(pod))
    await invoker.aclose()


def _points() -> Iterator[str]:
    """Each point of the last call, as a fault that kills there, but for those that come before the same change."""
    times: Counter[str] = Counter()
    names = _LOG.read_text().splitlines()
    for name, following in zip_longest(names, names[1:]):
        times[name] += 1
        if name in _CHANGES or following not in _CHANGES:
            yield f"{name}:kill:{times[name]}"


@pytest.fixture
def node(request: pytest.FixtureRequest, host_netns: Host) -> Node:
    """A host that has all that the network of the test needs."""
    kind = request.param
    if not runs_here(host_netns, kind):
        pytest.skip(f"this kernel has no links of type {kind}")
    prepare(host_netns)
    return Node(host_netns, kind)


def networks(*kinds: str) -> pytest.MarkDecorator:
    """Run the test on hosts for these."""
    return pytest.mark.parametrize("node", kinds, indirect=True)


def kill_everywhere(node: Node, only: str = "") -> dict[str, frozenset[str]]:
    """Kill an ADD and a DEL at each of the points, with a DEL after each; what was then other than before, by point.

    An ADD goes further each time, so that it proves that the one before it left nothing in its way. ``only`` is a
    pattern for the names of the points.
    """
    adding, deleting = ([one for one in found if re.match(only, one)] for found in node.learn())
    clean = node.state()
    leaks: dict[str, frozenset[str]] = {}

    def kill(what: str, call: Callable[..., int], fault: str) -> None:
        nonlocal clean
        assert call(fault=fault) == -signal.SIGKILL, f"{what} {fault}"
        assert node.delete() == 0, f"DEL after {what} {fault}"
        if left := node.left(lambda now: now ^ clean):
            leaks[f"{what} {fault}"], clean = left, clean ^ left

    for add_fault, delete_fault in zip_longest(adding, deleting):
        if add_fault:
            kill("ADD", node.add, add_fault)
        if delete_fault:
            assert node.add() == 0, f"ADD after {add_fault}"
            kill("DEL", node.delete, delete_fault)
    assert (node.add(), node.delete()) == (0, 0)
    return leaks


@networks(*(kind for kind in NETWORKS if kind != "closed"))
def test_killed_at_every_step(node: Node) -> None:
    assert kill_everywhere(node) == {}


@networks("closed")
def test_killed_at_every_step_beside_another_pod(node: Node) -> None:
    node.add_neighbour()
    assert kill_everywhere(node, r"nft|netfilter|files|firewall|portmap") == {}  # the rest is as with one pod


@networks("flannel")
def test_the_first_pod_of_a_host_is_killed_at_every_step(node: Node) -> None:
    shared = node.state()
    node.forget()
    adding, _ = node.learn()
    for fault in adding:
        node.forget()
        assert node.add(fault=fault) == -signal.SIGKILL, fault
        assert node.delete() == 0, f"DEL after {fault}"
        assert node.left(lambda now: _without_bridge(now - shared)) == set(), fault


def _without_bridge(found: frozenset[str]) -> frozenset[str]:
    """The MAC of a new bridge is a new one."""
    return frozenset(line for line in found if not line.startswith("link cni0"))
