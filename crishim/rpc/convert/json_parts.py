"""Parts of configurations as JSON objects, with the names of the messages.

As in containerd's rendering what is unset is left out, and enumerations are numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from crishim.model.pod import (
    IDMapping,
    NamespaceOptions,
    Resources,
    SecurityProfile,
    SELinuxOptions,
    UserNamespace,
)

Json = dict[str, object]


def members(**fields: object) -> Json:
    """An object without the fields that are unset; an empty object is one that was set, with nothing in it."""
    return {name: content for name, content in fields.items() if content or content == {}}


def mapping(values: Mapping[str, object]) -> Json | None:
    """A map, which is unset when it is empty."""
    return dict(values) or None


def value(number: int | None) -> Json | None:
    """A number that may be absent."""
    return None if number is None else members(value=number)


def namespaces(options: NamespaceOptions) -> Json:
    """``NamespaceOption``."""
    return members(
        network=options.network,
        pid=options.pid,
        ipc=options.ipc,
        target_id=options.target_id,
        userns_options=options.userns and _user_namespace(options.userns),
    )


def _user_namespace(userns: UserNamespace) -> Json:
    return members(mode=userns.mode.value, uids=extents(userns.uids), gids=extents(userns.gids))


def extents(mappings: Iterable[IDMapping]) -> list[Json]:
    """A list of ``IDMapping``."""
    return [members(host_id=each.host_id, container_id=each.container_id, length=each.length) for each in mappings]


def selinux_options(selinux: SELinuxOptions) -> Json:
    """``SELinuxOption``."""
    return members(user=selinux.user, role=selinux.role, type=selinux.type, level=selinux.level)


def profile(asked: SecurityProfile) -> Json:
    """``SecurityProfile``."""
    return members(profile_type=asked.profile_type, localhost_ref=asked.localhost_ref)


def limits(resources: Resources) -> Json:
    """``LinuxContainerResources``."""
    return members(
        cpu_period=resources.cpu_period,
        cpu_quota=resources.cpu_quota,
        cpu_shares=resources.cpu_shares,
        memory_limit_in_bytes=resources.memory_limit_in_bytes,
        oom_score_adj=resources.oom_score_adj,
        cpuset_cpus=resources.cpuset_cpus,
        cpuset_mems=resources.cpuset_mems,
        hugepage_limits=[members(page_size=size, limit=limit) for size, limit in resources.hugepage_limits.items()],
        unified=mapping(resources.unified),
        memory_swap_limit_in_bytes=resources.memory_swap_limit_in_bytes,
    )
