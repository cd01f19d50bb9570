"""What is a container's, its root and the secrets in its configuration, is out of reach for users of the node."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from crishim.drivers.namespaces import NamespaceDriver
from crishim.drivers.overlay import OverlayDriver
from crishim.model.container import Container
from crishim.model.pod import IDMapping, NamespaceMode, UserNamespace
from crishim.model.sandbox import IdMap, NamespacePaths, NamespaceSpec
from tests.lab.critest import RUNTIMES
from tests.lab.kernel import shifts_ids_in_memory
from tests.netns.drivers.oci.lab import ROOTFS, STATE, Lab, process, with_process

pytestmark = pytest.mark.anyio

KEPT, NOBODY = STATE / "kept", 65534
IDS = (IDMapping(host_id=1 << 16, container_id=0, length=1 << 16),)
USERNS = UserNamespace(NamespaceMode.POD, IDS, IDS)
OCI_IDS = [{"hostID": 1 << 16, "containerID": 0, "size": 1 << 16}]


@asynccontextmanager
async def user_namespace(*, wanted: bool) -> AsyncIterator[IdMap | None]:
    """One for a pod, pinned as a pod's are."""
    if not wanted:
        yield None
        return
    paths = NamespacePaths(user=str(STATE / "pod/user"))
    await NamespaceDriver().create(NamespaceSpec(paths, userns=USERNS))
    yield IdMap(str(paths.user), USERNS)
    await NamespaceDriver().remove(paths)


def spec(lab: Lab, root: str, ids: IdMap | None) -> dict[str, Any]:
    """The configuration of a container that waits, with a secret."""
    made = lab.spec("c1", "sleep", "1000", env=["PATH=/bin", "PASSWORD=secret"])
    made["root"]["path"] = root
    if ids is not None:
        made["linux"]["namespaces"].append({"type": "user", "path": ids.namespace})
        made["linux"] |= {"uidMappings": OCI_IDS, "gidMappings": OCI_IDS}
    return made


async def make(lab: Lab, ids: IdMap | None, *, watched: bool) -> Container:
    root = await OverlayDriver(KEPT).mount("c1", [str(ROOTFS)], ids)
    container = lab.container()
    if not watched:
        return with_process(container, await lab.driver.run(container, lab.bundle(), spec(lab, root, ids)))
    async with lab.driver.making(container, lab.bundle()) as making:
        made = with_process(container, await making.make(spec(lab, root, ids)))
    await lab.driver.start(made)
    return made


def can(*command: str, user: int) -> bool:
    """Whether a command on the node succeeds for a user of it."""
    return subprocess.run(command, check=False, user=user, group=user, extra_groups=[]).returncode == 0


@pytest.mark.parametrize("watched", [True, False])
@pytest.mark.parametrize(
    ("lab", "with_ids"),
    [
        ("crun", False),
        ("runc", False),
        pytest.param("crun", True, marks=shifts_ids_in_memory),
        pytest.param(RUNTIMES["runc-current"], True, marks=shifts_ids_in_memory),
    ],
    indirect=["lab"],
)
async def test_users_of_the_node_reach_nothing_of_a_container(lab: Lab, with_ids: bool, watched: bool) -> None:
    async with user_namespace(wanted=with_ids) as ids:
        container = await make(lab, ids, watched=watched)
    written = await lab.driver.exec_sync(container, process("sh", "-c", "echo x > /made && echo $PASSWORD"), None)
    assert (written.exit_code, written.stderr) == (0, b"")
    bundle, kept = lab.bundle(), KEPT / "c1"
    files = (bundle / "config.json", kept / "rootfs/made", kept / "upper/made")
    assert can("cat", *map(str, files), user=0)
    assert can("test", "-x", str(kept.parent), user=NOBODY)
    assert not can("test", "-O", "/dev/null", user=IDS[0].host_id)  # which was the container's input
    for directory in (bundle, bundle.parent, kept, kept.parent, kept / "rootfs"):
        assert not can("ls", str(directory), user=NOBODY), directory
    for file in files:
        assert not can("cat", str(file), user=NOBODY), file
    assert not can("cat", str(bundle / "config.json"), user=IDS[0].host_id)  # a container's root that has broken out
    await OverlayDriver(KEPT).remove("c1")
    await lab.driver.delete("c1")


@pytest.mark.parametrize("lab", ["crun"], indirect=True)
async def test_nor_of_an_infra_process(lab: Lab) -> None:
    await lab.run_infra()
    assert not can("ls", str(lab.bundle()), user=NOBODY)
    await lab.driver.delete("c1")
