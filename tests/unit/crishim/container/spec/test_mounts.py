"""What is mounted in a container, in which order and how."""

from typing import Any

import pytest
from msgspec.structs import replace

from crishim.container.spec.inputs import PodFiles
from crishim.container.spec.mounts import (
    check_mounts,
    check_propagation,
    host_paths,
    mounted_at_files,
    mounts,
    propagating_paths,
    relabelled_paths,
    root_propagation,
)
from crishim.core.errors import InvalidArgumentError
from crishim.drivers.propagation import Propagation
from crishim.model.container import ImageSpec, Mount, MountPropagation
from crishim.model.pod import IDMapping, NamespaceMode, NamespaceOptions, UserNamespace
from crishim.model.sandbox import NamespacePaths
from tests.unit.crishim.container.spec.parts import HOST, asked, inputs, pod, pod_with, secured

USUAL = ["/proc", "/dev", "/dev/pts", "/dev/mqueue", "/sys", "/sys/fs/cgroup"]
OF_POD = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/dev/shm"]
EXTENT = (IDMapping(1000, 0, 10),)
USERNS = NamespaceOptions(NamespaceMode.NODE, userns=UserNamespace(NamespaceMode.POD, EXTENT, EXTENT))


def destinations(*mounted: Mount, **more: Any) -> list[str]:
    return [mount["destination"] for mount in mounts(inputs(asked(mounts=mounted), **more))]


def the_mount(path: str, *mounted: Mount, **more: Any) -> dict[str, Any]:
    (found,) = [mount for mount in mounts(inputs(asked(mounts=mounted), **more)) if mount["destination"] == path]
    return found


def test_usual() -> None:
    assert destinations() == USUAL + OF_POD


def test_what_is_above_is_mounted_first() -> None:
    asked_for = (Mount("/a/b/c", "/1"), Mount("/a", "/2"), Mount("/z/y", "/3"), Mount("/a/b", "/4"))
    assert destinations(*asked_for)[len(USUAL) :] == ["/a", "/z/y", "/a/b", *OF_POD, "/a/b/c"]


@pytest.mark.parametrize("path", ["/etc/hosts", "/etc/../etc//hosts/", "/dev/shm", "/proc", "/sys/fs/cgroup"])
def test_the_request_wins(path: str) -> None:
    normal = "/etc/hosts" if "hosts" in path else path
    assert the_mount(normal, Mount(path, "/mine"))["source"] == "/mine"


def test_ones_own_dev() -> None:
    assert destinations(Mount("/dev", "/mine")) == ["/proc", "/sys", "/sys/fs/cgroup", "/dev", *OF_POD]


@pytest.mark.parametrize(
    ("more", "options"),
    [
        ({}, ["rbind", "rprivate", "rw"]),
        ({"readonly": True}, ["rbind", "rprivate", "ro"]),
        ({"readonly": True, "recursive_read_only": True}, ["rbind", "rprivate", "rro"]),
        ({"propagation": MountPropagation.HOST_TO_CONTAINER}, ["rbind", "rslave", "rw"]),
        ({"propagation": MountPropagation.BIDIRECTIONAL}, ["rbind", "rshared", "rw"]),
        ({"mount_options": ("noexec", "nodev")}, ["rbind", "rprivate", "rw", "noexec", "nodev"]),
    ],
)
def test_options(more: dict[str, Any], options: list[str]) -> None:
    assert the_mount("/a", Mount("/a", "/b", **more))["options"] == options


def test_id_mapped() -> None:
    mapping = [{"containerID": 0, "hostID": 1000, "size": 10}]
    made = the_mount("/a", Mount("/a", "/b", uid_mappings=EXTENT, gid_mappings=EXTENT))
    assert (made["uidMappings"], made["gidMappings"]) == (mapping, mapping)
    assert "uidMappings" not in the_mount("/a", Mount("/a", "/b"))


def test_an_image() -> None:
    mount = Mount("/a/", readonly=True, image=ImageSpec("i"), uid_mappings=EXTENT, gid_mappings=EXTENT)
    assert the_mount("/a", mount, image_mounts={"/a/": "/images/1/sub"}) == {
        "destination": "/a",
        "type": "bind",
        "source": "/images/1/sub",
        "options": ["rbind", "rprivate", "ro"],
    }


def test_volumes_of_the_image() -> None:
    volumes = {"/data": "/v/0", "/mine": "/v/1"}
    assert the_mount("/data", Mount("/mine", "/m"), volumes=volumes)["source"] == "/v/0"
    assert the_mount("/mine", Mount("/mine", "/m"), volumes=volumes)["source"] == "/m"


def test_pod_files_of_a_read_only_container() -> None:
    made = mounts(inputs(secured(readonly_rootfs=True)))
    writable = {mount["destination"]: "rw" in mount["options"] for mount in made if mount["destination"] in OF_POD}
    assert writable == {"/etc/hostname": False, "/etc/hosts": False, "/etc/resolv.conf": False, "/dev/shm": True}


def test_shared_memory_has_the_flags_that_its_file_system_is_mounted_with() -> None:
    assert {"nosuid", "nodev", "noexec"} <= set(the_mount("/dev/shm")["options"])


def test_shared_memory_of_the_node() -> None:
    sandbox = replace(pod(), namespaces=NamespacePaths())
    assert (the_mount("/dev/shm")["source"], the_mount("/dev/shm", sandbox=sandbox)["source"]) == ("/p/shm", "/dev/shm")


@pytest.mark.parametrize("path", ["/sys", "/sys/fs/cgroup"])
@pytest.mark.parametrize(("privileged", "option"), [(False, "ro"), (True, "rw")])
def test_sys(path: str, privileged: bool, option: str) -> None:
    (made,) = [each for each in mounts(inputs(secured(privileged=privileged))) if each["destination"] == path]
    assert option in made["options"]


def test_cgroup_options_of_the_node_are_kept_when_it_is_the_nodes() -> None:
    host = replace(HOST, cgroup2_options=("nsdelegate",))
    kept = [
        "nsdelegate" in mounts(inputs(secured(privileged=privileged), host=host))[5]["options"]
        for privileged in (False, True)
    ]
    assert kept == [False, True]


@pytest.mark.parametrize(("recursive", "option"), [(False, "ro"), (True, "rro")])
def test_sys_of_a_user_namespace_on_the_nodes_network(recursive: bool, option: str) -> None:
    host = replace(HOST, recursive_read_only=recursive)
    made = the_mount("/sys", sandbox=pod_with(namespaces=USERNS), host=host)
    assert (made["type"], made["options"][1]) == ("bind", option)


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        ((0,), {}),
        ((0, 1), {"rootfsPropagation": "rslave"}),
        ((2, 1, 0), {"rootfsPropagation": "rshared"}),
        ((), {}),
    ],
)
def test_root_propagation(modes: tuple[int, ...], expected: dict[str, str]) -> None:
    mounted = tuple(Mount("/a", "/b", propagation=MountPropagation(mode)) for mode in modes)
    assert root_propagation(asked(mounts=mounted)) == expected


def test_paths_for_the_caller() -> None:
    image = Mount("/i", image=ImageSpec("i"))
    shared = Mount("/b", "/2", propagation=MountPropagation.BIDIRECTIONAL)
    config = asked(mounts=(Mount("/a", "/1"), shared, image))
    assert host_paths(config) == ["/1", "/2"]
    assert propagating_paths(config) == ["/2"]


def test_what_is_mounted_at_files_that_lie_below_every_image() -> None:
    image = Mount("/etc/resolv.conf", image=ImageSpec("i"))
    config = asked(mounts=(Mount("/etc/hosts2", "/1"), Mount("//etc/./hosts/", "/2"), image))
    assert mounted_at_files(config) == ["/2", ""]


def test_paths_that_get_a_label() -> None:
    image = Mount("/i", image=ImageSpec("i"), selinux_relabel=True)
    config = asked(mounts=(Mount("/a", "/1", selinux_relabel=True), Mount("/b", "/2"), image))
    files = PodFiles("/p/hostname", "/p/hosts", "/p/resolv.conf", "/p/shm")
    of_pod = ["/p/hostname", "/p/hosts", "/p/resolv.conf"]
    assert relabelled_paths(config, pod(), files) == [*of_pod, "/p/shm", "/1"]
    node_ipc = replace(pod(), namespaces=NamespacePaths())
    assert relabelled_paths(config, node_ipc, files) == [*of_pod, "/1"]


REFUSED: list[tuple[Mount, str]] = [
    (Mount("", "/b"), "container_path: expected a path below the root; found ''"),
    (Mount("/..", "/b"), "container_path: expected a path below the root; found '/..'"),
    (Mount("/a\0", "/b"), "container_path: expected text without NUL"),
    (Mount("/a"), "host_path: expected an absolute path; found ''"),
    (Mount("/a", "b"), "host_path: expected an absolute path; found 'b'"),
    (Mount("/a", "/b\0"), "host_path: expected text without NUL"),
    (Mount("/a", "/b", image=ImageSpec("i"), readonly=True), "host_path: expected nothing, as an image is mounted"),
    (Mount("/a", image=ImageSpec("i")), "readonly: must be true, as an image is mounted"),
    (Mount("/a", image=ImageSpec("i"), readonly=True, image_sub_path="a/../.."), "image_sub_path: expected a relative"),
    (Mount("/a", image=ImageSpec("i"), readonly=True, image_sub_path="/a"), "image_sub_path: expected a relative"),
    (Mount("/a", image=ImageSpec("i"), readonly=True, image_sub_path="\0"), "image_sub_path: expected text without"),
    (Mount("/a", "/b", recursive_read_only=True), "recursive_read_only: needs readonly too"),
    (
        Mount("/a", "/b", recursive_read_only=True, readonly=True, propagation=MountPropagation.BIDIRECTIONAL),
        "recursive_read_only: needs PROPAGATION_PRIVATE",
    ),
    (Mount("/a", "/b", recursive_read_only=True, readonly=True), "recursive_read_only: the OCI runtime or this node"),
    (Mount("/a", "/b", uid_mappings=EXTENT, gid_mappings=EXTENT), "uidMappings: the OCI runtime or this node has no"),
    (Mount("/a", "/b", mount_options=("suid",)), "mount_options: expected nodev or noexec or nosuid; found 'suid'"),
]


@pytest.mark.parametrize(("mount", "message"), REFUSED)
def test_refused(mount: Mount, message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check_mounts(asked(mounts=(Mount("/fine", "/fine"), mount)), HOST)
    assert str(caught.value).startswith(f"config.mounts[1].{message}")


def test_one_id_map_alone() -> None:
    with pytest.raises(InvalidArgumentError, match=r"config.mounts\[0\]: expected both uidMappings and gidMappings"):
        check_mounts(asked(mounts=(Mount("/a", "/b", uid_mappings=EXTENT),)), HOST)


def test_an_image_has_the_ids_of_the_pod_or_none() -> None:
    mount = Mount("/a", readonly=True, image=ImageSpec("i"), uid_mappings=EXTENT, gid_mappings=EXTENT)
    check_mounts(asked(mounts=(mount,)), HOST, UserNamespace(NamespaceMode.POD, EXTENT, EXTENT))
    for userns in (None, UserNamespace(NamespaceMode.POD, EXTENT, (IDMapping(2000, 0, 10),))):
        with pytest.raises(InvalidArgumentError, match="uidMappings: expected those of the pod"):
            check_mounts(asked(mounts=(mount,)), HOST, userns)


def test_what_the_node_can_do() -> None:
    host = replace(HOST, recursive_read_only=True, id_mapped_mounts=True)
    mount = Mount("/a", "/b", True, recursive_read_only=True, uid_mappings=EXTENT, gid_mappings=EXTENT)
    check_mounts(asked(mounts=(mount,)), host)


@pytest.mark.parametrize(
    ("mode", "found", "message"),
    [
        (MountPropagation.PRIVATE, Propagation.PRIVATE, ""),
        (MountPropagation.HOST_TO_CONTAINER, Propagation.SLAVE, ""),
        (MountPropagation.HOST_TO_CONTAINER, Propagation.SHARED, ""),
        (MountPropagation.BIDIRECTIONAL, Propagation.SHARED, ""),
        (MountPropagation.BIDIRECTIONAL, Propagation.SLAVE, "expected a path on a shared mount, for BIDIRECTIONAL"),
        (MountPropagation.HOST_TO_CONTAINER, Propagation.PRIVATE, "expected a path on a shared or slave mount"),
    ],
)
def test_propagation(mode: MountPropagation, found: Propagation, message: str) -> None:
    config = asked(mounts=(Mount("/a", "/b", propagation=mode),))
    if not message:
        check_propagation(config, {"/b": found})
        return
    with pytest.raises(InvalidArgumentError, match=rf"config.mounts\[0\].host_path: {message}"):
        check_propagation(config, {"/b": found})
