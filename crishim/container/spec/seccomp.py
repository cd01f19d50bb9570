"""Which system calls a container may make: our default profile, one of the node's files, or all of them.

The default profile answers EPERM to a call that was considered and refused, and ENOSYS to any other: what C libraries
expect of a call that a kernel does not have yet, so that a newer one falls back to what works. See docs/seccomp.md.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from crishim.container.spec.capabilities import granted_capabilities
from crishim.container.spec.fields import SECURITY, check_path
from crishim.container.spec.inputs import HostFacts, Json
from crishim.container.spec.seccomp_calls import ALLOWED, BY_ARCHITECTURE, BY_CAPABILITY, REFUSED
from crishim.core.errors import InvalidArgumentError
from crishim.model.container import ContainerSecurity
from crishim.model.pod import ProfileType

_FIELD = f"{SECURITY}.seccomp"

# Each one makes the filter, and so the start of a container, slower. Without x32, which distributions turn off.
_ARCHITECTURES = {
    "x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    "aarch64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
}

_AF_ALG, _AF_VSOCK = 38, 40  # <linux/socket.h>
_PERSONALITIES = (0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)  # Linux, 32-bit Linux, each with UNAME26, and "which one?"
# <linux/sched.h>: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_NEW_NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)


def seccomp(security: ContainerSecurity, host: HostFacts, loaded: Mapping[str, Any] | None) -> Json | None:
    """The ``seccomp`` object, None for no filter. ``loaded`` is the profile of ``seccomp_file``."""
    if security.privileged or security.seccomp is None:
        return None
    match security.seccomp.profile_type:
        case ProfileType.RUNTIME_DEFAULT:
            return default_profile(granted_capabilities(security, host), host.architecture)
        case ProfileType.LOCALHOST if loaded is None:
            raise InvalidArgumentError(f"{_FIELD}.localhost_ref: the profile was not loaded")
        case ProfileType.LOCALHOST:
            return dict(loaded or {})
        case _:
            return None


def seccomp_file(security: ContainerSecurity) -> str | None:
    """The file of the profile to load, if one is needed."""
    asked = security.seccomp
    if security.privileged or asked is None or asked.profile_type != ProfileType.LOCALHOST:
        return None
    return asked.localhost_ref.removeprefix("localhost/")


def check_seccomp(security: ContainerSecurity, host: HostFacts) -> None:
    """Refuse a profile on a node without seccomp, and a file that is not named by its full path."""
    asked = security.seccomp
    if security.privileged or asked is None or asked.profile_type == ProfileType.UNCONFINED:
        return
    if not host.seccomp:
        raise InvalidArgumentError(f"{_FIELD}: the kernel has no seccomp; only Unconfined is possible")
    if (file := seccomp_file(security)) is not None:
        check_path(f"{_FIELD}.localhost_ref", file)


class _Argument(Struct, frozen=True, rename="camel", omit_defaults=True):
    index: int
    value: int
    op: str
    value_two: int = 0


class _Rule(Struct, frozen=True, rename="camel", omit_defaults=True):
    names: list[str]
    action: str
    errno_ret: int | None = None
    args: list[_Argument] | None = None


class _Profile(Struct, frozen=True, rename="camel", omit_defaults=True):
    default_action: str
    default_errno_ret: int | None = None
    architectures: list[str] | None = None
    flags: list[str] | None = None
    listener_path: str = ""
    listener_metadata: str = ""
    syscalls: list[_Rule] | None = None


def parse_profile(text: bytes, file: str) -> Json:
    """The content of a profile's file, with the keys OCI knows; raises InvalidArgumentError when it is no profile."""
    try:
        return dict(msgspec.to_builtins(msgspec.json.decode(text, type=_Profile)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgumentError(f"{_FIELD}: {file}: not a seccomp profile: {error}") from error


def default_profile(capabilities: Iterable[str], architecture: str) -> Json:
    """Our profile for a container with these capabilities on this kind of processor (as in uname(2))."""
    held = frozenset(capabilities)
    allowed = ALLOWED | BY_ARCHITECTURE.get(architecture, frozenset())
    allowed = allowed.union(*(BY_CAPABILITY[name] for name in held & BY_CAPABILITY.keys()))
    # Without a rule clone3 is ENOSYS: its flags are in memory, where no filter looks, and clone is what remains.
    refused = REFUSED.union(*BY_CAPABILITY.values()) - allowed - {"clone", "clone3"}
    rules = [_allow(*sorted(allowed)), _refuse(*sorted(refused)), *_personality_rules(), *_socket_rules()]
    if "clone" not in allowed:
        rules += _clone_rules(1 if architecture.startswith("s390") else 0)
    profile: Json = {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": errno.ENOSYS, "syscalls": rules}
    known = _ARCHITECTURES.get(architecture)  # elsewhere only native programs run
    return {**profile, "architectures": known} if known else profile


def _personality_rules() -> list[Json]:
    return [_allow("personality", args=[_argument(0, "SCMP_CMP_EQ", value)]) for value in _PERSONALITIES]


def _socket_rules() -> list[Json]:
    """Any address family but the kernel's cryptography and the way to a hypervisor.

    One condition in each rule, and no two rules for one value: what runtimes make of others differs.
    """
    return [
        _allow("socket", args=[_argument(0, "SCMP_CMP_LT", _AF_ALG)]),
        _allow("socket", args=[_argument(0, "SCMP_CMP_EQ", _AF_ALG + 1)]),
        _allow("socket", args=[_argument(0, "SCMP_CMP_GT", _AF_VSOCK)]),
        _refuse("socket", args=[_argument(0, "SCMP_CMP_EQ", _AF_ALG)]),
        _refuse("socket", args=[_argument(0, "SCMP_CMP_EQ", _AF_VSOCK)]),
    ]


def _clone_rules(flags: int) -> list[Json]:
    """Processes and threads, but no namespaces; ``flags`` is the place of the flags among the arguments."""
    none = _argument(flags, "SCMP_CMP_MASKED_EQ", sum(_NEW_NAMESPACES), 0)
    each = [_argument(flags, "SCMP_CMP_MASKED_EQ", flag, flag) for flag in _NEW_NAMESPACES]
    return [_allow("clone", args=[none]), *(_refuse("clone", args=[flag]) for flag in each)]


def _allow(*names: str, args: Iterable[Json] = ()) -> Json:
    return {"names": list(names), "action": "SCMP_ACT_ALLOW", "args": list(args)}


def _refuse(*names: str, args: Iterable[Json] = ()) -> Json:
    return {"names": list(names), "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EPERM, "args": list(args)}


def _argument(index: int, op: str, value: int, value_two: int = 0) -> Json:
    """For SCMP_CMP_MASKED_EQ ``value`` is the mask and ``value_two`` what must be left of the argument."""
    return {"index": index, "value": value, "valueTwo": value_two, "op": op}
