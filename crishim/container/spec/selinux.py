"""SELinux labels of a container.

There are none on a node without SELinux, and without ``enable_selinux`` in the configuration, whatever is asked for,
as with other runtimes.
"""

from __future__ import annotations

import hashlib
import re

from msgspec import Struct

from crishim.container.spec.fields import SECURITY, check_text
from crishim.container.spec.inputs import HostFacts
from crishim.core.errors import refusal
from crishim.model.container import ContainerConfig
from crishim.model.pod import SELinuxOptions
from crishim.model.sandbox import Sandbox

# What all containers can read and run, and none can change. The root of one has its own label for all files, but the
# kernel looks at the file below as well when a program is mapped into memory. The name is container-selinux's.
LAYERS_LABEL = "system_u:object_r:container_ro_file_t:s0"
_CATEGORIES = 1024
_LEVEL = re.compile(r"[A-Za-z0-9_:.,-]+")


class Labels(Struct, frozen=True):
    """The label of the processes and that of the files; empty: none."""

    process: str = ""
    mount: str = ""


def selinux_labels(config: ContainerConfig, sandbox: Sandbox, host: HostFacts) -> Labels:
    """The request's label, else the pod's; a privileged container that asks for none is not confined.

    Raises InvalidArgumentError for a level that is none.
    """
    if not host.selinux_labels:
        return Labels()
    asked = config.security.selinux
    if asked is None and config.security.privileged:
        return Labels()
    options = asked or sandbox.config.security.selinux or SELinuxOptions()
    level = options.level or _level_of(sandbox.id)
    if not _LEVEL.fullmatch(level):  # it becomes an option of a mount
        raise refusal(f"{SECURITY}.selinux_options.level", "a level such as s0:c1,c2", level)
    process = (options.user or "system_u", options.role or "system_r", options.type or "container_t", level)
    return Labels(":".join(process), f"system_u:object_r:container_file_t:{level}")


def check_selinux(config: ContainerConfig, sandbox: Sandbox, host: HostFacts) -> None:
    """Refuse a label that cannot be passed on."""
    options = config.security.selinux or SELinuxOptions()
    for name in options.__struct_fields__:
        check_text(f"{SECURITY}.selinux_options.{name}", getattr(options, name))
    selinux_labels(config, sandbox, host)


def _level_of(sandbox_id: str) -> str:
    """Two categories out of the pod's id: containers of a pod share them, other pods hardly ever have both."""
    digest = int.from_bytes(hashlib.sha256(sandbox_id.encode()).digest()[:8])
    first, step = digest % _CATEGORIES, 1 + digest // _CATEGORIES % (_CATEGORIES - 1)
    low, high = sorted((first, (first + step) % _CATEGORIES))
    return f"s0:c{low},c{high}"
