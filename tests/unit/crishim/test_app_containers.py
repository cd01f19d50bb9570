"""What a runtime handler can do is what both its OCI runtime and the node can."""

from __future__ import annotations

from pathlib import Path

import pytest

from crishim.app.containers import with_runtime
from crishim.drivers.cgroups import CgroupMode
from crishim.drivers.host_facts import HostFacts
from crishim.drivers.oci.handlers import Features, Handler


@pytest.mark.parametrize("node", [True, False])
@pytest.mark.parametrize("runtime", [True, False])
def test_mounts_take_both(node: bool, runtime: bool) -> None:
    facts = HostFacts(cgroup_mode=CgroupMode.V2, recursive_read_only=node, id_mapped_mounts=node)
    handler = Handler(name="h", program=Path("/h"), features=Features(runtime, runtime))
    host = with_runtime(facts, handler)
    assert (host.recursive_read_only, host.id_mapped_mounts) == (node and runtime, node and runtime)
