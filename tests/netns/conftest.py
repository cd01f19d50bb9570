"""Every test of this directory runs on a throw-away host: network devices, rules, processes, /run, /etc, /var/lib.

What a test (with its function-scoped fixtures) does there is gone when it ends, passed or failed, so a test needs
no clean-up and may do what the machine would not survive. It runs in a forked child: see cni_runtime.testing.throwaway
for what is separate and what is not. Things to know when writing one:

- ask for the fixture ``host_netns`` to get a ``cni_runtime.testing.host.Host``: commands, pods' namespaces, leavings;
- the code under test needs no special handling: this process and all it starts are "on the host";
- fixtures wider than a function are made anew in each child and never finalised: keep them to constants;
- a test that hangs is ended by pytest-timeout in the child, with its stack; should that fail, the whole host is killed.
"""

from __future__ import annotations

import os
import pickle
import signal
from typing import Any, cast

import pytest
from _pytest.runner import runtestprotocol

from cni_runtime.testing.host import Host
from cni_runtime.testing.throwaway import ThrowawayHostError, run_on_throwaway_host

_MARKERS = ("netns", "e2e")
_GRACE = 10.0  # seconds that a child has for its own timeout report before it is killed


@pytest.fixture
def host_netns() -> Host:
    """The throw-away host that this test runs on."""
    return Host()


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker("netns")
    if os.geteuid() != 0:
        item.add_marker(pytest.mark.skip(reason="needs root to make namespaces"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    # Once this file is loaded, pytest asks it about the tests of every directory.
    if os.geteuid() != 0 or not any(map(item.get_closest_marker, _MARKERS)):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _reports_of(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _reports_of(item: pytest.Item) -> list[pytest.TestReport]:
    config = item.config
    config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # one for all children, not one in each
    timer, _ = signal.setitimer(signal.ITIMER_REAL, 0)  # pytest-timeout's alarm is for the child
    timeout = timer + _GRACE if timer else None
    try:
        answer = run_on_throwaway_host(lambda: _run(item, timer), timeout=timeout)
    except ThrowawayHostError as error:
        return [pytest.TestReport(item.nodeid, item.location, {}, "failed", str(error), "call")]
    return [config.hook.pytest_report_from_serializable(config=config, data=data) for data in pickle.loads(answer)]


def _run(item: pytest.Item, timer: float) -> bytes:
    signal.setitimer(signal.ITIMER_REAL, timer)
    # With the parent node as the next item only what belongs to this function is torn down.
    reports = runtestprotocol(item, nextitem=cast("Any", item.parent), log=False)
    hook = item.config.hook
    return pickle.dumps([hook.pytest_report_to_serializable(config=item.config, report=each) for each in reports])
