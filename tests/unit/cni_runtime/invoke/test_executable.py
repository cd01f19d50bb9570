"""Finding and running executables by type."""

import json
import os
from pathlib import Path

import pytest

from cni_runtime.call import PluginCall, Verb
from cni_runtime.errors import ErrorCode, PluginError
from cni_runtime.invoke.executable import ExecutableInvoker, find_executable

pytestmark = pytest.mark.anyio

_ECHO = """#!/bin/sh
printf '{"stdin": %s, "verb": "%s", "id": "%s"}' "$(cat)" "$CNI_COMMAND" "$CNI_CONTAINERID"
"""


def _install(directory: Path, name: str, content: str, mode: int = 0o755) -> Path:
    directory.mkdir(exist_ok=True)
    program = directory / name
    program.write_text(content)
    program.chmod(mode)
    return program


def _call(*path: Path, plugin: str = "echo", verb: Verb = Verb.ADD) -> PluginCall:
    return PluginCall(verb=verb, type=plugin, config={"name": "net"}, container_id="c1", path=path)


def test_the_first_directory_that_has_it_wins(tmp_path: Path) -> None:
    (tmp_path / "a" / "echo").mkdir(parents=True)
    first = _install(tmp_path / "b", "echo", "")
    _install(tmp_path / "c", "echo", "")
    path = [tmp_path / name for name in ("missing", "a", "b", "c")]
    assert find_executable(_call(*path)) == first


def test_a_missing_executable_names_the_directories(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=f"searched: {tmp_path}/a, {tmp_path}/b") as caught:
        find_executable(_call(tmp_path / "a", tmp_path / "b"))
    assert (caught.value.code, caught.value.nothing_done) == (ErrorCode.PLUGIN_NOT_AVAILABLE, True)


def test_no_directory_is_told_apart() -> None:
    with pytest.raises(PluginError, match="no directory at all"):
        find_executable(_call())


@pytest.mark.parametrize("plugin", ["../echo", "/bin/sh", "a/b", "..", "", "x\0y"])
def test_a_path_is_no_type(tmp_path: Path, plugin: str) -> None:
    with pytest.raises(PluginError, match="invalid plugin type") as caught:
        find_executable(_call(tmp_path, plugin=plugin))
    assert caught.value.code == ErrorCode.INVALID_NETWORK_CONFIG


async def test_the_plugin_gets_config_and_environment_and_answers(tmp_path: Path) -> None:
    _install(tmp_path, "echo", _ECHO)
    answer = await ExecutableInvoker().invoke(_call(tmp_path))
    assert answer == {"stdin": {"name": "net"}, "verb": "ADD", "id": "c1"}


async def test_version_is_answered(tmp_path: Path) -> None:
    reply = {"cniVersion": "1.1.0", "supportedVersions": ["1.0.0", "1.1.0"]}
    _install(tmp_path, "echo", f"#!/bin/sh\necho '{json.dumps(reply)}'")
    assert await ExecutableInvoker().invoke(_call(tmp_path, verb=Verb.VERSION)) == reply


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        ("#!/bin/sh\n", 0o644, "permission denied"),
        ("#!/no/such/interpreter\n", 0o755, "interpreter"),
        ("no magic number", 0o755, "neither a program"),
    ],
)
async def test_what_cannot_be_executed_says_why(tmp_path: Path, content: str, mode: int, message: str) -> None:
    _install(tmp_path, "echo", content, mode)
    with pytest.raises(PluginError, match=message) as caught:
        await ExecutableInvoker().invoke(_call(tmp_path))
    assert caught.value.nothing_done


async def test_a_program_that_is_being_written_asks_to_try_again(tmp_path: Path) -> None:
    program = _install(tmp_path, "echo", _ECHO)
    writer = os.open(program, os.O_WRONLY)
    try:
        with pytest.raises(PluginError, match="open for writing") as caught:
            await ExecutableInvoker().invoke(_call(tmp_path))
    finally:
        os.close(writer)
    assert caught.value.code == ErrorCode.TRY_AGAIN_LATER


async def test_the_deadline_is_an_error_with_the_time_it_took(tmp_path: Path) -> None:
    _install(tmp_path, "echo", "#!/bin/sh\nsleep 60")
    with pytest.raises(PluginError, match=r"plugin echo ADD \(\d+\.\d ms\): did not end within 0\.1 s") as caught:
        await ExecutableInvoker(timeout=0.1).invoke(_call(tmp_path))
    assert 0.1 <= caught.value.elapsed < 5
