"""Devices of the node: what is found, and what is left out."""

from pathlib import Path

import pytest

from crishim.core.errors import InvalidArgumentError
from crishim.drivers.devices import DeviceNode, node_devices, read_device, stat_device

NULL = DeviceNode("/dev/null", "c", 1, 3, 0o666)


def test_read() -> None:
    assert read_device("/dev/null") == NULL
    assert read_device("/dev") is None


@pytest.mark.anyio
async def test_a_link_is_followed_and_its_name_kept(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/dev/null")
    assert await stat_device(str(link)) == (DeviceNode(str(link), "c", 1, 3, 0o666),)


@pytest.mark.anyio
async def test_a_directory(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev")
    found = {node.path: node for node in await stat_device(str(tmp_path / "link"))}
    assert found[f"{tmp_path}/link/null"].minor == 3
    assert not [path for path in found if "/pts/" in path]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "message"), [("missing", "No such file"), ("file", "neither a device nor a"), ("", "neith")]
)
async def test_none(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidArgumentError, match=f"^device {tmp_path}/{name}: {message}"):
        await stat_device(f"{tmp_path}/{name}")


def test_what_every_container_has_is_left_out() -> None:
    assert not {"/dev/null", "/dev/tty", "/dev/ptmx"} & {node.path for node in node_devices()}


def test_links_and_files_are_no_devices(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/link").symlink_to("/dev/null")
    (tmp_path / "file").touch()
    assert node_devices(str(tmp_path)) == ()
