"""The capabilities of a container, never more than the server itself could give."""

from __future__ import annotations

from collections.abc import Iterable

from crishim.container.spec.fields import SECURITY
from crishim.container.spec.inputs import HostFacts, Json
from crishim.core.capability_names import CAPABILITIES
from crishim.core.errors import InvalidArgumentError, refusal
from crishim.model.container import ContainerSecurity

DEFAULT_CAPABILITIES = frozenset({
    "CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
})  # fmt: skip
"""What a container has that asks for nothing: the set of every common runtime."""

_FIELD = f"{SECURITY}.capabilities"


def capabilities(security: ContainerSecurity, host: HostFacts) -> Json:
    """The ``capabilities`` object. Raises InvalidArgumentError for what is unknown or not the server's to give.

    Only ambient capabilities are inheritable: otherwise a file's inheritable capabilities would come into force.
    """
    granted = granted_capabilities(security, host)
    ambient = _ambient(security, granted)
    sets = {"bounding": granted, "effective": granted, "permitted": granted}
    if ambient:
        sets |= {"inheritable": ambient, "ambient": ambient}
    return {name: _in_order(members) for name, members in sets.items()}


def granted_capabilities(security: ContainerSecurity, host: HostFacts) -> frozenset[str]:
    """What the container may use; of a privileged one everything, whatever it asks to drop."""
    if security.privileged:
        return host.capabilities
    asked = security.capabilities
    add, add_all = _names(f"{_FIELD}.add_capabilities", asked.add)
    drop, drop_all = _names(f"{_FIELD}.drop_capabilities", asked.drop)
    for name in sorted(add - host.capabilities):
        raise InvalidArgumentError(f"{_FIELD}.add_capabilities: {name} is not in the server's own bounding set")
    base = host.capabilities if add_all else DEFAULT_CAPABILITIES & host.capabilities
    return ((frozenset() if drop_all else base) | add) - drop


def _ambient(security: ContainerSecurity, granted: frozenset[str]) -> frozenset[str]:
    field = f"{_FIELD}.add_ambient_capabilities"
    names, every = _names(field, security.capabilities.add_ambient)
    for name in sorted(names - granted):
        raise InvalidArgumentError(f"{field}: {name} is not among the container's other capabilities")
    return granted if every else names


def _names(field: str, texts: Iterable[str]) -> tuple[frozenset[str], bool]:
    """The capabilities that ``texts`` name, and whether ``ALL`` is one of them."""
    names = set()
    for index, text in enumerate(texts):
        name = f"CAP_{text.upper().removeprefix('CAP_')}"
        if name not in CAPABILITIES and name != "CAP_ALL":
            raise refusal(f"{field}[{index}]", "the name of a capability, or ALL", text)
        names.add(name)
    return frozenset(names - {"CAP_ALL"}), "CAP_ALL" in names


def _in_order(names: frozenset[str]) -> list[str]:
    return [name for name in CAPABILITIES if name in names]
