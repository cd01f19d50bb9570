"""The environment: where each variable comes from, and which one wins."""

from typing import Any

import pytest

from crishim.container.spec.environment import (
    DEFAULT_PATH,
    environment,
    environment_with,
    requested_environment,
)
from crishim.container.spec.inputs import User
from crishim.core.errors import InvalidArgumentError
from tests.unit.crishim.container.spec.parts import asked, inputs, pod

BASE = [f"PATH={DEFAULT_PATH}", "HOSTNAME=node"]


@pytest.mark.parametrize(
    ("more", "image", "expected"),
    [
        ({}, [], [*BASE, "HOME=/h"]),
        ({"tty": True}, [], [BASE[0], "TERM=xterm", BASE[1], "HOME=/h"]),
        ({}, ["PATH=/bin", "A=1", "B", "=c"], ["PATH=/bin", "HOSTNAME=node", "A=1", "HOME=/h"]),
        ({"envs": (("A", b"2"), ("A", b"3=4"))}, ["A=1"], [*BASE, "A=3=4", "HOME=/h"]),
        ({"envs": (("HOME", b""), ("HOSTNAME", b"x"))}, [], [BASE[0], "HOSTNAME=x", "HOME="]),
    ],
)
def test_environment(more: dict[str, Any], image: list[str], expected: list[str]) -> None:
    made = inputs(asked(**more), image_config={"Env": image}, user=User(home="/h"))
    assert environment(made) == expected


def test_the_pod_has_a_name() -> None:
    assert "HOSTNAME=web" in environment(inputs(asked(), sandbox=pod(hostname="web")))


def test_added_variables_replace() -> None:
    assert environment_with(["A=1", "B=2"], ["A=3", "C=4"]) == ["A=3", "B=2", "C=4"]


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        (("", b""), r"config.envs\[0\].key: expected the name of a variable"),
        (("A=B", b""), r"config.envs\[0\].key: expected the name"),
        (("A\0", b""), r"config.envs\[0\].key: expected text without NUL"),
        (("A", b"\xff"), r"config.envs\[0\].value: expected UTF-8"),
        (("A", b"\0"), r"config.envs\[0\].value: expected text without NUL"),
    ],
)
def test_refused(variable: tuple[str, bytes], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        requested_environment(asked(envs=(variable,)))
