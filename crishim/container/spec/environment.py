"""The environment of a container's processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from crishim.container.spec.fields import check_text
from crishim.container.spec.image import execution_config
from crishim.container.spec.inputs import SpecInputs
from crishim.core.errors import refusal
from crishim.model.container import ContainerConfig

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TERM = "xterm"


def environment(inputs: SpecInputs) -> list[str]:
    """``NAME=value`` texts: ours, over them the image's, over them the request's; each name once."""
    variables = {"PATH": DEFAULT_PATH}
    if inputs.config.tty:
        variables["TERM"] = TERM
    variables["HOSTNAME"] = inputs.sandbox.config.hostname or inputs.hostname
    variables |= dict(_pairs(execution_config(inputs.image_config).env or ()))
    variables |= requested_environment(inputs.config)
    variables.setdefault("HOME", inputs.user.home)
    return [f"{name}={value}" for name, value in variables.items()]


def environment_with(environment: Iterable[str], added: Iterable[str]) -> list[str]:
    """``environment`` with more variables, which replace those of the same name."""
    return [f"{name}={value}" for name, value in {**dict(_pairs(environment)), **dict(_pairs(added))}.items()]


def with_term(environment: Iterable[str]) -> list[str]:
    """The environment of a command that is given a terminal."""
    variables = list(environment)
    return variables if any(each.startswith("TERM=") for each in variables) else [*variables, f"TERM={TERM}"]


def requested_environment(config: ContainerConfig) -> dict[str, str]:
    """The request's own variables, the last one of a name."""
    variables = {}
    for index, (name, value) in enumerate(config.envs):
        check_text(f"config.envs[{index}].key", name)
        if not name or "=" in name:
            raise refusal(f"config.envs[{index}].key", "the name of a variable", name)
        try:
            variables[name] = value.decode()
        except UnicodeDecodeError:
            raise refusal(f"config.envs[{index}].value", "UTF-8, as JSON holds nothing else", value) from None
        check_text(f"config.envs[{index}].value", variables[name])
    return variables


def _pairs(texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    for text in texts:
        name, equals, value = text.partition("=")
        if name and equals:  # an image may name a variable without giving it a value
            yield name, value
