from __future__ import annotations

import json
from pathlib import Path

import pytest

from crishim.core.errors import SystemCallError
from crishim.drivers.oci.exec import Execs
from crishim.drivers.oci.notes import Notes
from crishim.drivers.oci.places import Places

pytestmark = pytest.mark.anyio

LIMITS = [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}, {"type": "RLIMIT_RTTIME", "soft": 1, "hard": 1}]


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places(tmp_path)
    places.execs.mkdir()
    return places


def test_a_command_is_noted_with_its_mark_before_it_starts(places: Places) -> None:
    command = Execs(places, Notes(places.notes)).prepare("c1", {"args": ["true"], "rlimits": LIMITS})
    written = json.loads((command.directory / "process.json").read_text())
    mark = {"type": "RLIMIT_RTTIME", "soft": command.mark, "hard": command.mark}
    assert written == {"args": ["true"], "rlimits": [LIMITS[0], mark]}
    assert command.directory.name == f"c1.{command.mark:x}"
    command.close()
    assert list(places.execs.iterdir()) == []


async def test_commands_of_other_containers_are_not_forgotten(places: Places) -> None:
    execs = Execs(places, Notes(places.notes))
    for container_id in ("c1", "c1", "c10"):
        execs.prepare(container_id, {})
    await execs.abandon("c1")
    assert [path.name.split(".")[0] for path in places.execs.iterdir()] == ["c10"]
    await execs.abandon()
    assert not any(places.execs.iterdir())


def test_what_cannot_be_noted_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(SystemCallError, match="ENOENT"):
        Execs(Places(tmp_path / "nowhere"), Notes(tmp_path)).prepare("c1", {})
