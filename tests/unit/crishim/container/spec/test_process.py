"""What a container runs, where and how."""

from typing import Any

import pytest
from msgspec.structs import replace

from crishim.container.spec.image import execution_config
from crishim.container.spec.inputs import User
from crishim.container.spec.process import (
    check_process,
    command_line,
    exec_process,
    oom_score_adj,
    process,
    working_directory,
)
from crishim.core.errors import InvalidArgumentError
from crishim.model.pod import Resources
from tests.unit.crishim.container.spec.parts import HOST, asked, inputs, secured

IMAGE = {"Entrypoint": ["entry"], "Cmd": ["say", "it"]}


@pytest.mark.parametrize(
    ("command", "args", "image", "expected"),
    [
        ((), (), IMAGE, ["entry", "say", "it"]),
        ((), ("other",), IMAGE, ["entry", "other"]),
        (("mine",), (), IMAGE, ["mine"]),
        (("mine",), ("other",), IMAGE, ["mine", "other"]),
        ((), (), {"Cmd": ["say"]}, ["say"]),
        ((), (), {"Entrypoint": [""], "Cmd": ["say"]}, ["say"]),
        ((), ("other",), {}, ["other"]),
        ((), (), {"Entrypoint": ["entry"], "Cmd": None}, ["entry"]),
    ],
)
def test_command_line(command: tuple[str, ...], args: tuple[str, ...], image: Any, expected: list[str]) -> None:
    assert command_line(asked(command=command, args=args), execution_config(image)) == expected


@pytest.mark.parametrize("command", [(), ("",), ("", "a")])
def test_no_command(command: tuple[str, ...]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"config.command: must not be empty"):
        command_line(asked(command=command), execution_config({}))


@pytest.mark.parametrize(
    ("asked_for", "of_image", "expected"),
    [("", "", "/"), ("", "/app", "/app"), ("", "app/./x", "/app/x"), ("/here", "/app", "/here")],
)
def test_working_directory(asked_for: str, of_image: str, expected: str) -> None:
    image = execution_config({"WorkingDir": of_image})
    assert working_directory(asked(working_dir=asked_for), image) == expected


@pytest.mark.parametrize(
    ("wanted", "least", "expected"),
    [(0, -1000, 0), (-900, -1000, -900), (-900, 0, 0), (-900, -500, -500), (9, 500, 500)],
)
def test_oom_score_adj(wanted: int, least: int, expected: int) -> None:
    config = asked(resources=Resources(oom_score_adj=wanted))
    assert oom_score_adj(config, replace(HOST, oom_score_adj_min=least)) == expected


def test_the_process() -> None:
    made = process(inputs(secured(no_new_privs=True), user=User(1, 2, (2, 3), "/h")))
    assert made["user"] == {"uid": 1, "gid": 2, "additionalGids": [2, 3]}
    assert (made["noNewPrivileges"], made["terminal"], made["args"], made["cwd"]) == (True, False, ["sh"], "/")
    assert not made.keys() & {"apparmorProfile", "selinuxLabel", "rlimits"}


def test_a_limit_of_open_files_other_than_the_servers() -> None:
    first = process(inputs(host=replace(HOST, open_files=(1024, 4096))))
    assert first["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 4096}]
    assert exec_process(first, ["ls"], tty=False)["rlimits"] == first["rlimits"]


def test_a_further_process() -> None:
    first = process(inputs(secured(no_new_privs=True), user=User(uid=7)))
    changed = {"args": ["ls", "-l"], "terminal": True, "env": [*first["env"], "TERM=xterm"]}
    assert exec_process(first, ["ls", "-l"], tty=True) == {**first, **changed}


def test_a_further_process_keeps_its_terminal_kind() -> None:
    first = {"env": ["TERM=vt100"]}
    assert exec_process(first, ["ls"], tty=True)["env"] == ["TERM=vt100"]
    assert exec_process({"env": []}, ["ls"], tty=False)["env"] == []


@pytest.mark.parametrize("command", [[], ["a\0b"]])
def test_a_further_process_needs_a_command(command: list[str]) -> None:
    with pytest.raises(InvalidArgumentError, match="cmd"):
        exec_process({"env": []}, command, tty=False)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"command": ("a", "\0")}, "config.command[1]: expected text without NUL"),
    ({"args": ("\0",)}, "config.args[0]: expected text without NUL"),
    ({"working_dir": "here"}, "config.working_dir: expected an absolute path; found 'here'"),
    ({"working_dir": "/a\0"}, "config.working_dir: expected text without NUL"),
    ({"log_path": "../x"}, "config.log_path: expected a path below the pod's log_directory"),
    ({"log_path": "x\0"}, "config.log_path: expected text without NUL"),
]


@pytest.mark.parametrize(("more", "message"), REFUSED)
def test_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check_process(asked(**more))
    assert str(caught.value).startswith(message)


def test_an_impossible_oom_score() -> None:
    with pytest.raises(InvalidArgumentError, match=r"config.linux.resources.oom_score_adj: expected -1000 to 1000"):
        oom_score_adj(asked(resources=Resources(oom_score_adj=1001)), HOST)


@pytest.mark.parametrize("config", [{"Cmd": "sh"}, {"Env": [1]}, {"Env": ["A=\0"]}, {"WorkingDir": "\0"}, {"User": 0}])
def test_a_broken_image(config: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^image: config"):
        execution_config(config)
