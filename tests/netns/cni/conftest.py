"""CniRuntime with real plugin executables, on the throw-away host of each test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from cni_runtime.invoke.executable import ExecutableInvoker
from cni_runtime.runtime import Attachment, CniRuntime
from cni_runtime.testing.host import Host
from tests.lab.conflists import CURRENT, DEBIAN, PluginSet

_CAPABILITY_ARGS = {
    "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}],
    "bandwidth": {"ingressRate": 8_000_000, "ingressBurst": 80_000, "egressRate": 8_000_000, "egressBurst": 80_000},
}


@pytest.fixture(params=[DEBIAN, CURRENT], ids=lambda plugins: plugins.name)
def plugins(request: pytest.FixtureRequest) -> PluginSet:
    """Each set of plugin executables in turn; CRISHIM_TEST_CNI_BIN names another directory for the current ones."""
    found = cast("PluginSet", request.param)
    if found is CURRENT and (override := os.environ.get("CRISHIM_TEST_CNI_BIN")):
        found = found._replace(directory=Path(override))
    if not (found.directory / "bridge").exists():
        pytest.skip(f"no CNI plugins in {found.directory}: see hack/build-tools, or set CRISHIM_TEST_CNI_BIN")
    return found


@pytest.fixture
def runtime(plugins: PluginSet) -> CniRuntime:
    """A runtime whose plugins are those of ``plugins``, or hostile."""
    hostile = Path(__file__).parent / "hostile"
    return CniRuntime(ExecutableInvoker(timeout=20), path=[plugins.directory, hostile], rollback_timeout=20)


@pytest.fixture
def make_pod(host_netns: Host) -> Callable[[], Attachment]:
    """Makes a network namespace and gives the attachment of its eth0, with every capability argument there is."""
    numbers = itertools.count(1)
    _skip_duplicate_detection(host_netns, None)

    def make() -> Attachment:
        name = f"pod{next(numbers)}"
        netns = host_netns.add_netns(name)
        _skip_duplicate_detection(host_netns, netns)
        return Attachment(
            container_id=name,
            netns=str(netns),
            ifname="eth0",
            args=(("IgnoreUnknown", "1"),),
            capability_args=_CAPABILITY_ARGS,
        )

    return make


def _skip_duplicate_detection(host: Host, netns: Path | None) -> None:
    """Let IPv6 addresses work at once: nobody else is here, and waiting takes two seconds."""
    names = ("all", "default")
    host.run("sysctl", "-qw", *(f"net.ipv6.conf.{name}.accept_dad=0" for name in names), netns=netns)
