"""Which user namespaces a pod may have. Pure.

Source: CRI v1 ``UserNamespace``, and user_namespaces(7) for what the kernel takes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from crishim.core.errors import InvalidArgumentError, refusal
from crishim.model.pod import IDMapping, NamespaceMode, NamespaceOptions, PodConfig

_FIELD = "config.linux.security_context.namespace_options"
_EXTENTS = 340  # UID_GID_MAP_MAX_EXTENTS
_IDS = 2**32 - 1  # the last number means "no id"


def check_user_namespace(options: NamespaceOptions) -> None:
    """Raise InvalidArgumentError naming the field for ids that cannot be had, and for what needs the node's ids.

    The kernel mounts /proc and /dev/mqueue only for who owns the PID and the IPC namespace. A pod on the node's network
    is possible: it sees the node's /sys, mounted already.
    """
    userns = options.userns
    if userns is None:
        return
    if userns.mode is not NamespaceMode.POD:
        if userns.uids or userns.gids:
            raise InvalidArgumentError(f"{_FIELD}.userns_options: expected no mappings with mode {userns.mode.name}")
        return
    for name, mode in (("pid", options.pid), ("ipc", options.ipc)):
        if mode is NamespaceMode.NODE:
            raise InvalidArgumentError(f"{_FIELD}.{name}: NODE is not possible with a user namespace of the pod's own")
    for name, extents in (("uids", userns.uids), ("gids", userns.gids)):
        _check_extents(f"{_FIELD}.userns_options.{name}", extents)


def check_ability(config: PodConfig, handler: str, obstacles: Mapping[str, str]) -> None:
    """Raise InvalidArgumentError when the pod wants a user namespace and ``handler`` is one of ``obstacles``."""
    if config.user_namespace is not None and handler in obstacles:
        message = f"runtime handler {handler!r} cannot have user namespaces: {obstacles[handler]}"
        raise InvalidArgumentError(f"{_FIELD}.userns_options: {message}")


def _check_extents(field: str, extents: Sequence[IDMapping]) -> None:
    if not 1 <= len(extents) <= _EXTENTS:
        raise refusal(field, f"1 to {_EXTENTS} mappings", len(extents))
    for number, extent in enumerate(extents):
        last = max(extent.container_id, extent.host_id) + extent.length
        if extent.length < 1 or last > _IDS:
            raise refusal(f"{field}[{number}]", f"1 or more ids below {_IDS}", extent)
    for name in ("container_id", "host_id"):
        _check_overlap(f"{field}: {name}", [(getattr(extent, name), extent.length) for extent in extents])
    if all(extent.container_id != 0 for extent in extents):
        raise InvalidArgumentError(f"{field}: expected container_id 0 to be mapped")


def _check_overlap(field: str, ranges: Sequence[tuple[int, int]]) -> None:
    inorder = sorted(ranges)
    for (first, length), (following, _) in itertools.pairwise(inorder):
        if following < first + length:
            raise InvalidArgumentError(f"{field}: {following} is mapped twice")
