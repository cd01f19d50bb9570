"""Every test of this directory runs a real server on a throw-away host of its own (see tests/netns/conftest.py).

The fixture ``node`` is that server, not started yet: ``node.serve(conflist, …)`` starts it. When the test ends,
its pods are removed and nothing of them may be left. With CRI_PEER=1 in the environment the server is containerd:
a test that fails on both sides is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.conflists import CURRENT, DEBIAN, PluginSet
from tests.lab.daemon import PEER, containerd, crishim
from tests.lab.node import Node
from tests.netns.conftest import pytest_runtest_protocol as pytest_runtest_protocol  # noqa: PLC0414


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker("e2e")
    if os.geteuid() != 0:
        item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(params=[DEBIAN, CURRENT], ids=lambda plugins: plugins.name)
def plugins(request: pytest.FixtureRequest) -> PluginSet:
    """Both sets of plugin executables, one after the other."""
    assert isinstance(request.param, PluginSet)
    return request.param


@pytest.fixture
def node() -> Iterator[Node]:
    """A node whose server is not started yet; its pods are removed at the end, and must leave nothing."""
    node = Node(Path("/run/e2e"), containerd if PEER else crishim)  # /run is the throw-away host's own
    try:
        yield node
        if node.has_served:
            node.remove_all_pods()
            node.close()
            assert not node.leftovers()
    finally:
        print(node.daemon.tail())
