"""Root file systems and mounted images, on real layers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crishim.core.errors import SystemCallError
from crishim.core.sysctls import NamespaceKind
from crishim.drivers.filesystems import FileSystemDriver
from crishim.drivers.mount_points import make_mount_points
from crishim.drivers.mounts import read_mounts, unmount_all
from crishim.drivers.overlay import OverlayDriver
from crishim.drivers.user_namespaces import holding
from crishim.model.pod import IDMapping, NamespaceMode, UserNamespace
from crishim.model.sandbox import IdMap
from crishim.testing.images import directory, file, whiteout
from tests.netns.image.lab import look, unpack_all

pytestmark = pytest.mark.anyio

LAYERS = [[directory("./", mode=0o711, uid=4), directory("d"), file("d/a", b"a"), file("b", b"b")], [whiteout("b")]]


async def test_a_container_writes_into_a_layer_of_its_own(tmp_path: Path) -> None:
    layers = [str(path) for path in unpack_all(tmp_path, LAYERS)]
    driver = OverlayDriver(tmp_path / "containers")
    root = Path(await driver.mount("c1", layers))
    (root / "d/a").write_bytes(b"changed")
    seen = look(root)
    assert (sorted(seen), seen["."].mode, seen["."].owner) == ([".", "d", "d/a"], 0o711, (4, 0))
    assert (Path(layers[1]) / "d/a").read_bytes() == b"a"
    await driver.remove("c1")
    await driver.remove("c1")
    assert list((tmp_path / "containers").iterdir()) == []


async def test_below_an_image_are_the_places_that_it_lacks(tmp_path: Path) -> None:
    image = [directory("etc", mode=0o750, uid=4), file("etc/hosts", b"own"), file("proc", b"")]
    layers, below = [str(path) for path in unpack_all(tmp_path, [image])], tmp_path / "mount-points"
    make_mount_points(below)
    (below / "etc/hostname").unlink()
    (below / "etc").chmod(0o700)
    make_mount_points(below)
    driver = OverlayDriver(tmp_path / "containers", below)
    seen = look(root := Path(await driver.mount("c1", layers)))
    assert seen["etc"].mode == 0o750
    assert sorted(seen) == [".", "dev", "etc", "etc/hostname", "etc/hosts", "etc/resolv.conf", "proc", "sys"]
    assert ((root / "etc/hosts").read_bytes(), (root / "proc").is_file()) == (b"own", True)
    assert {(root / f"etc/{name}").read_bytes() for name in ("hostname", "resolv.conf")} == {b""}
    assert {seen[name].mode for name in ("dev", "sys", "etc/hostname")} == {0o755, 0o644}
    await driver.remove("c1")


@pytest.mark.parametrize("what", ["directory", "missing", ""])
async def test_no_file_is_where_a_directory_will_be_mounted(tmp_path: Path, what: str) -> None:
    make_mount_points(tmp_path / "mount-points")
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    layers = [str(path) for path in unpack_all(tmp_path, LAYERS)]
    driver = OverlayDriver(tmp_path / "containers", tmp_path / "mount-points")
    at_files = [str(tmp_path / "file"), str(tmp_path / what) if what else ""]
    assert "etc" not in look(Path(await driver.mount("c1", layers, None, "", at_files)))
    assert "etc/hosts" in look(Path(await driver.mount("c2", layers, None, "", at_files[:1])))
    for name in ("c1", "c2"):
        await driver.remove(name)


async def test_an_image_without_layers(tmp_path: Path) -> None:
    driver = OverlayDriver(tmp_path / "containers")
    root = Path(await driver.mount("c1", []))
    (root / "a").write_bytes(b"")
    await driver.remove("c1")


@pytest.mark.parametrize("count", [1, 2])
async def test_an_image_is_mounted_read_only(tmp_path: Path, count: int) -> None:
    layers = [str(path) for path in unpack_all(tmp_path, LAYERS)][-count:]
    target = tmp_path / "images/0"
    await OverlayDriver(tmp_path).mount_image(str(target), layers)
    assert target.parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(OSError, match="Read-only"):
        (target / "x").write_bytes(b"")
    assert (target / "d/a").read_bytes() == b"a"
    unmount_all(str(target))


async def test_the_deepest_image_that_is_allowed(tmp_path: Path) -> None:
    store = tmp_path / "a-name-that-is-rather-long-so-that-absolute-paths-would-never-fit" / "layers"
    for number in range(500):
        (store / str(number)).mkdir(parents=True)
        (store / str(number) / f"f{number}").touch()
    make_mount_points(store.parent / "mount-points")
    driver = OverlayDriver(store.parent / "containers", store.parent / "mount-points")
    for count, places in ((499, 7), (500, 0)):
        root = Path(await driver.mount(f"c{count}", [str(store / str(number)) for number in range(count)]))
        assert len(look(root)) == 1 + count + places
        await driver.remove(f"c{count}")


UIDS = (IDMapping(host_id=70000, container_id=0, length=3), IDMapping(90000, 3, 10))
USERNS = UserNamespace(NamespaceMode.POD, UIDS, (IDMapping(80000, 0, 65536),))


@pytest.fixture
async def ids() -> AsyncIterator[IdMap]:
    async with holding(USERNS) as held:
        yield IdMap(held.namespace(NamespaceKind.USER), USERNS)


async def test_files_show_the_ids_of_a_user_namespace(tmp_path: Path, ids: IdMap) -> None:
    layers = [str(path) for path in unpack_all(tmp_path, LAYERS)]
    driver = OverlayDriver(tmp_path / "containers")
    root = Path(await driver.mount("c1", layers, ids))
    before, disk = look(root), {layer: look(Path(layer)) for layer in layers}
    (root / "d/a").write_bytes(b"changed")
    assert {name: entry.owner for name, entry in look(root).items()} == {
        ".": (90001, 80000),
        "d": (70000, 80000),
        "d/a": (70000, 80000),
    }
    assert (before["."].mode, {layer: look(Path(layer)) for layer in layers}) == (0o711, disk)
    await driver.remove("c1")
    assert [mount.point for mount in read_mounts() if str(tmp_path) in mount.point] == []


async def test_an_empty_root_belongs_to_the_namespaces_root(tmp_path: Path, ids: IdMap) -> None:
    driver = OverlayDriver(tmp_path / "containers")
    assert look(Path(await driver.mount("c1", [], ids)))["."].owner == (70000, 80000)
    await driver.remove("c1")


@pytest.mark.parametrize("count", [1, 2])
async def test_an_image_shows_the_ids_of_a_user_namespace(tmp_path: Path, count: int, ids: IdMap) -> None:
    layers = [str(path) for path in unpack_all(tmp_path, LAYERS)][-count:]
    target = tmp_path / "images/0"
    await OverlayDriver(tmp_path).mount_image(str(target), layers, ids)
    passage = target.parent.stat()
    assert (passage.st_mode & 0o777, passage.st_gid) == (0o710, 80000)
    assert look(target)["d/a"].owner == (70000, 80000)
    with pytest.raises(OSError, match="Read-only"):
        (target / "x").write_bytes(b"")
    unmount_all(str(target))


async def test_whether_ids_can_be_shifted_is_tried_without_a_trace(tmp_path: Path) -> None:
    before = read_mounts()
    await OverlayDriver(tmp_path / "containers").check_id_maps()
    assert (read_mounts(), list((tmp_path / "containers").iterdir())) == (before, [])


async def test_a_file_system_without_id_maps_is_named(tmp_path: Path, ids: IdMap) -> None:
    driver = OverlayDriver(Path("/var/lib/crishim/containers"))  # on a throw-away host that is an overlay
    with pytest.raises(SystemCallError, match="id-map /var/lib/crishim: EINVAL"):
        await driver.check_id_maps()
    with pytest.raises(SystemCallError, match=r"id-map /var/lib: EINVAL"):
        await driver.mount_image(str(tmp_path / "target"), ["/var/lib"], ids)


async def test_the_kernels_refusal_is_told(tmp_path: Path) -> None:
    with pytest.raises(SystemCallError, match="ENOENT"):
        await OverlayDriver(tmp_path / "c").mount("c1", [str(tmp_path / "none")])


async def test_sync(tmp_path: Path) -> None:
    await FileSystemDriver().sync(tmp_path)
    with pytest.raises(SystemCallError, match=r"syncfs .*ENOENT"):
        await FileSystemDriver().sync(tmp_path / "none")
