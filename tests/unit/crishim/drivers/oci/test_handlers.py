from __future__ import annotations

from pathlib import Path

import pytest

from crishim.core.config.types import RuntimeHandler
from crishim.core.errors import UnavailableError
from crishim.drivers.oci.handlers import Features, Handlers, parse_features, probe

pytestmark = pytest.mark.anyio

FULL = b'{"mountOptions": ["ro", "rro"], "linux": {"mountExtensions": {"idmap": {"enabled": true}}}}'


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


async def probed(binary: str, *, systemd: bool = False) -> Handlers:
    return await probe({"h": RuntimeHandler(binary_name=binary, systemd_cgroup=True)}, systemd=systemd)


@pytest.mark.parametrize(
    ("answer", "features"),
    [
        (FULL, Features(recursive_read_only_mounts=True, id_mapped_mounts=True)),
        (FULL.replace(b'"linux": {', b'"linux": {"namespaces": ["pid", "user"], '), Features(True, True, True)),
        (b'{"linux": {"namespaces": ["user"]}}', Features()),
        (b"{}", Features()),
        (b'{"mountOptions": ["ro"], "linux": {"mountExtensions": {}}}', Features()),
        (b'{"mountOptions": ["rro"], "linux": {"mountExtensions": {"idmap": {"enabled": null}}}}', Features(True)),
    ],
)
def test_features_are_what_is_stated(answer: bytes, features: Features) -> None:
    assert parse_features(answer) == features


@pytest.mark.parametrize("answer", [b"", b"garbage", b"[]", b'{"mountOptions": 7}', b'{"mountOptions": ["\xff"]}'])
def test_an_answer_without_sense_is_an_error(answer: bytes) -> None:
    with pytest.raises(UnavailableError, match="was not understood"):
        parse_features(answer)


async def test_a_program_is_asked_once_for_all_handlers_that_name_it(tmp_path: Path) -> None:
    binary = script(tmp_path / "runtime", f"echo asked >> {tmp_path}/calls\necho '{FULL.decode()}'")
    handlers = await probe({name: RuntimeHandler(binary_name=binary) for name in "abc"})
    assert {handlers.get(name).features for name in "abc"} == {Features(True, True)}
    assert (tmp_path / "calls").read_text() == "asked\n"


async def test_a_program_without_the_command_has_no_features(tmp_path: Path) -> None:
    handlers = await probed(script(tmp_path / "old", 'test "$1" = --version'))
    assert handlers.get("h").features == Features()


@pytest.mark.parametrize("text", ["exit 1", "echo {", "kill -9 $$"])
async def test_a_program_that_is_broken_makes_its_handler_unusable(tmp_path: Path, text: str) -> None:
    handlers = await probed(script(tmp_path / "broken", text))
    assert list(handlers.problems) == ["h"]
    with pytest.raises(UnavailableError, match="runtime handler 'h' cannot be used: "):
        handlers.get("h")


async def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(UnavailableError, match="'h' cannot be used: nowhere-runtime was not found in"):
        (await probed("nowhere-runtime")).get("h")


def test_a_handler_that_is_not_configured_is_named() -> None:
    with pytest.raises(UnavailableError, match="'gone' cannot be used: it is not configured any more"):
        Handlers({}, {}).get("gone")


@pytest.mark.parametrize("systemd", [True, False])
async def test_systemd_makes_the_groups_only_where_it_runs(tmp_path: Path, systemd: bool) -> None:
    handlers = await probed(script(tmp_path / "runtime", "echo {}"), systemd=systemd)
    assert handlers.get("h").systemd_cgroup is systemd


async def test_crun_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("crun", "runc"):
        script(tmp_path / name, "echo {}")
    monkeypatch.setenv("PATH", str(tmp_path))
    chosen = [(await probed(binary)).get("h").program for binary in ("", "runc")]
    assert chosen == [tmp_path / "crun", tmp_path / "runc"]
