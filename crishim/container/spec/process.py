"""The process of a container: what it runs, where, and with which rights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crishim.container.spec.apparmor import apparmor_profile
from crishim.container.spec.capabilities import capabilities
from crishim.container.spec.environment import environment, with_term
from crishim.container.spec.fields import LINUX, check_path, check_text, check_texts
from crishim.container.spec.image import execution_config
from crishim.container.spec.inputs import HostFacts, Json, SpecInputs, User
from crishim.container.spec.mount_paths import normal_path
from crishim.container.spec.selinux import selinux_labels
from crishim.core.errors import InvalidArgumentError, refusal
from crishim.image.types import ExecutionConfig
from crishim.model.container import ContainerConfig


def process(inputs: SpecInputs) -> Json:
    """The ``process`` object."""
    config, image = inputs.config, execution_config(inputs.image_config)
    label = selinux_labels(config, inputs.sandbox, inputs.host).process
    profile = apparmor_profile(config, inputs.host)
    return {
        "terminal": config.tty,
        "user": oci_user(inputs.user),
        "args": command_line(config, image),
        "env": environment(inputs),
        "cwd": working_directory(config, image),
        "capabilities": capabilities(config.security, inputs.host),
        "noNewPrivileges": config.security.no_new_privs,
        "oomScoreAdj": oom_score_adj(config, inputs.host),
        **_rlimits(inputs.host),
        **({"apparmorProfile": profile} if profile else {}),
        **({"selinuxLabel": label} if label else {}),
    }


def exec_process(process: Mapping[str, Any], command: Sequence[str], *, tty: bool) -> Json:
    """A further process of a container, with the user, environment and rights of its first one."""
    if not command:
        raise InvalidArgumentError("cmd: must not be empty")
    check_texts("cmd", command)
    env = with_term(process["env"]) if tty else list(process["env"])
    return {**process, "terminal": tty, "args": list(command), "env": env}


def command_line(config: ContainerConfig, image: ExecutionConfig) -> list[str]:
    """Command and arguments; a command of the request also replaces the image's arguments.

    Raises InvalidArgumentError when neither the request nor the image has any.
    """
    if config.command:
        words = [*config.command, *config.args]
    else:
        entrypoint = () if image.entrypoint == ("",) else image.entrypoint or ()  # how an image says that it has none
        words = [*entrypoint, *(config.args or image.cmd or ())]
    if not any(words[:1]):
        raise InvalidArgumentError("config.command: must not be empty, as neither the image nor config.args say any")
    return words


def working_directory(config: ContainerConfig, image: ExecutionConfig) -> str:
    """The request's working directory, else the image's, else the root."""
    return config.working_dir or normal_path(image.working_dir)


def oom_score_adj(config: ContainerConfig, host: HostFacts) -> int:
    """How soon the kernel kills the process when memory is short; not below what the server may set."""
    wanted = config.resources.oom_score_adj
    if not -1000 <= wanted <= 1000:
        raise refusal(f"{LINUX}.resources.oom_score_adj", "-1000 to 1000", wanted)
    return max(wanted, host.oom_score_adj_min)


def _rlimits(host: HostFacts) -> Json:
    if host.open_files is None:
        return {}
    soft, hard = host.open_files
    return {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": soft, "hard": hard}]}


def oci_user(user: User) -> Json:
    """The ``user`` object."""
    return {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.additional_gids)}


def check_process(config: ContainerConfig) -> None:
    """Refuse commands and paths that cannot be passed on."""
    check_texts("config.command", config.command)
    check_texts("config.args", config.args)
    if config.working_dir:
        check_path("config.working_dir", config.working_dir)
    check_text("config.log_path", config.log_path)
    if ".." in config.log_path.split("/"):
        raise refusal("config.log_path", "a path below the pod's log_directory", config.log_path)
