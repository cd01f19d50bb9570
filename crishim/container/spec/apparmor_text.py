"""The text of our default AppArmor profile, as apparmor.d(5) has it.

It takes from a container what Docker's and containerd's default profiles take from theirs; see docs/seccomp.md. What
is not allowed is denied as well: mounts, and signals and traces that cross the profile's border.
"""

from __future__ import annotations

from collections.abc import Iterator

# The programs that end containers may have profiles of their own, which are called by a name or a path.
_RUNTIMES = "{,/usr/bin/,/usr/sbin/,/usr/local/bin/,/usr/local/sbin/}{crun,runc}"

_CHANGE, _ANY = "wklx", "rwklx"
_OUT_OF_REACH = (
    "/proc/kcore",
    "/proc/sysrq-trigger",
    "/sys/devices/virtual/powercap/**",
    "/sys/firmware/**",
    "/sys/kernel/security/**",
)


def profile_text(name: str, abi: str = "") -> str:
    """The profile ``name``. ``abi`` is a file of the parser's that says what the profile was written for, if any.

    With it, a kernel that can mediate more than that does not deny what the profile says nothing of.
    """
    rules = [
        *("capability", "file", "network", "umount", "deny mount"),
        "signal receive peer=unconfined",
        f"signal receive peer={_RUNTIMES}",
        f"signal (send, receive) peer={name}",
        f"ptrace (read, readby, trace, tracedby) peer={name}",
        *(f"deny {path} w" for path in _read_only_proc()),
        *(f"deny {path} {_CHANGE}" for path in _all_but("/sys/", "fs/cgroup")),
        *(f"deny {path} {_ANY}" for path in _OUT_OF_REACH),
    ]
    head = f"abi <{abi}>,\n" if abi else ""
    # A container's files may have no path on the node, and be deleted while they are open.
    flags = "flags=(attach_disconnected, mediate_deleted)"
    body = "".join(f"  {rule},\n" for rule in rules)
    return f"{head}profile {name} {flags} {{\n{body}}}\n"


def _read_only_proc() -> Iterator[str]:
    """All of /proc but what belongs to a process and the limits of shared memory, which are the container's own."""
    yield "/proc/{,[^0-9s]**}"
    yield from _all_but("/proc/s", "ys/")
    yield from _all_but("/proc/sys/", "kernel/shm")


def _all_but(base: str, start: str) -> Iterator[str]:
    """What follows ``base`` and does not go on with ``start``; no rule can say so in one pattern."""
    for length, character in enumerate(start):
        yield f"{base}{start[:length]}{{,[^{character}]**}}"
