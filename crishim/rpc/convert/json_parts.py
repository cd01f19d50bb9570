"""From the model of a configuration to the JSON object that verbose statuses show.

The model's fields have the names of the messages, but for those below, and what is unset is left out of both:
the text can be read back as the message. As in containerd's rendering enumerations are numbers.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def rename(shown: Json, **names: str) -> None:
    """Give fields of ``shown``, where it has them, the names of the message."""
    for name, new in names.items():
        if name in shown:
            shown[new] = shown.pop(name)


def gather(shown: Json, *names: str) -> None:
    """Put fields of ``shown`` into one object, ``linux``, that is there when one of them is."""
    linux = {name: shown.pop(name) for name in names if name in shown}
    if linux:
        shown["linux"] = linux


def leave_out_empty(shown: Json, *names: str) -> None:
    """Leave out those of these fields in which nothing is set."""
    for name in names:
        if not shown.get(name, True):
            del shown[name]


def show_security(shown: Json) -> None:
    """Name ``security``, of a pod or a container, as the message does; one that says nothing is left out."""
    security = shown.get("security", {})
    rename(security.get("namespaces", {}), userns="userns_options")
    for name in ("run_as_user", "run_as_group"):
        if name in security:
            security[name] = {"value": security[name]}
    leave_out_empty(security, "namespaces", "capabilities")
    rename(security, namespaces="namespace_options", selinux="selinux_options")
    leave_out_empty(shown, "security")
    rename(shown, security="security_context")


def show_limits(shown: Json, name: str) -> None:
    """Show the ``Resources`` that ``shown`` may have by this name as the message does."""
    if (limits := shown.get(name)) and (pages := limits.get("hugepage_limits")):
        limits["hugepage_limits"] = [{"page_size": size, "limit": limit} for size, limit in pages.items()]
