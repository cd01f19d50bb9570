"""``crishim image``: what people type, against a real server on a fake image domain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from typer.testing import CliRunner

from crishim.cli_image import image_app
from crishim.image.errors import RegistryError
from crishim.rpc.handlers.images import ImageHandlers, OwnImageHandlers
from crishim.rpc.server import serving
from crishim.testing.image_service import FakeImageService, image_record

pytestmark = pytest.mark.anyio


@pytest.fixture
def service() -> FakeImageService:
    return FakeImageService()


@pytest.fixture
async def server(address: Path, service: FakeImageService) -> AsyncIterator[Path]:
    image, own = ImageHandlers(service).handlers(), OwnImageHandlers(service).handlers()
    async with serving(address, runtime={}, image=image, own=own, grace=0.2):
        yield address


async def _run(server: Path, *arguments: str) -> tuple[int, str]:
    result = await anyio.to_thread.run_sync(CliRunner().invoke, image_app, [*arguments, "--address", str(server)])
    said = [line for line in result.output.splitlines() if " [" not in line]  # the server logs to the same place
    return result.exit_code, "\n".join(said)


async def test_pull_prints_the_id(server: Path) -> None:
    code, output = await _run(server, "pull", "busybox")
    assert (code, image_record().id in output) == (0, True)


async def test_a_pull_that_fails(server: Path, service: FakeImageService) -> None:
    service.error = RegistryError("registry reg.io: 503")
    code, output = await _run(server, "pull", "busybox")
    assert (code, "UNAVAILABLE: registry reg.io: 503" in output) == (1, True)


async def test_ls_has_a_line_for_every_name(server: Path, service: FakeImageService) -> None:
    service.images["a"] = image_record(1, repo_tags=("reg.io/b:1", "reg.io/a:1"), size=3_560_000)
    service.images["b"] = image_record(2)
    code, output = await _run(server, "ls")
    names = [line.split()[0] for line in output.splitlines()]
    assert (code, names) == (0, ["IMAGE", "-", "reg.io/a:1", "reg.io/b:1"])
    assert "3.56 MB" in output


async def test_rm_takes_several(server: Path, service: FakeImageService) -> None:
    service.images = {name: image_record() for name in "abc"}
    assert await _run(server, "rm", "a", "b") == (0, "")
    assert list(service.images) == ["c"]


async def test_import(server: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tar").touch()
    code, output = await _run(server, "import", str(tmp_path / "a.tar"), "--name", "busybox:1")
    assert (code, output.split()) == (0, [image_record(7).id, "busybox:1"])
    assert (await _run(server, "import", str(tmp_path / "none")))[0] == 2


async def test_no_server(tmp_path: Path) -> None:
    code, output = await _run(tmp_path / "none", "ls")
    assert (code, "UNAVAILABLE" in output) == (1, True)
