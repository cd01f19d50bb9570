from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from cni_runtime.plugins.base import Plugin
from cni_runtime.plugins.registry import TYPES, BuiltinPlugins


@pytest.fixture
def many_thread_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("many_thread_switches")
def test_threads_that_ask_at_the_same_time_get_the_same_plugins() -> None:
    begin = Barrier(2)

    def ask(plugins: BuiltinPlugins) -> list[Plugin]:
        begin.wait()
        return [plugins[plugin] for plugin in TYPES]

    with ThreadPoolExecutor(2) as threads:
        for _ in range(200):  # one in ten found two of one type
            one, other = threads.map(ask, [BuiltinPlugins()] * 2)
            assert list(map(id, one)) == list(map(id, other))
