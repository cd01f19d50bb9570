"""A runtime on a fake invoker, with its cache in a temporary directory."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cni_runtime.cache import ResultCache
from cni_runtime.conf.parse import parse_network_list
from cni_runtime.conf.types import NetworkList
from cni_runtime.runtime import Attachment, CniRuntime
from cni_runtime.testing.invoker import FakeInvoker

MakeNetwork = Callable[..., NetworkList]


@pytest.fixture
def invoker() -> FakeInvoker:
    return FakeInvoker()


@pytest.fixture
def runtime(invoker: FakeInvoker, tmp_path: Path) -> CniRuntime:
    return CniRuntime(invoker, path=[Path("/opt/cni/bin")], cache_dir=tmp_path, rollback_timeout=0.3)


@pytest.fixture
def cache(tmp_path: Path) -> ResultCache:
    return ResultCache(tmp_path)


@pytest.fixture
def attachment() -> Attachment:
    return Attachment(
        container_id="c1",
        netns="/run/netns/a",
        ifname="eth0",
        args=(("K8S_POD_NAME", "web"),),
        capability_args={"portMappings": [{"hostPort": 80}], "mac": "x"},
    )


@pytest.fixture
def make_network() -> MakeNetwork:
    """Makes a network called "net" of plugins of the given types; "portmap" declares portMappings."""

    def make(*types: str, version: str = "1.0.0", **extra: object) -> NetworkList:
        plugins = [{"type": t, "capabilities": {"portMappings": t == "portmap"}} for t in types]
        return parse_network_list(
            json.dumps({"name": "net", "cniVersion": version, "plugins": plugins, **extra}), "test.conflist"
        )

    return make
