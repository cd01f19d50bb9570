"""The seccomp filter: which profile, and what ours allows. What the kernel makes of it is in tests/netns/containers."""

import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from crishim.container.spec.capabilities import DEFAULT_CAPABILITIES
from crishim.container.spec.seccomp import check_seccomp, default_profile, parse_profile, seccomp, seccomp_file
from crishim.container.spec.seccomp_calls import (
    ALLOWED,
    BY_ARCHITECTURE,
    BY_CAPABILITY,
    CONDITIONAL,
    OBSOLETE,
    REFUSED,
)
from crishim.core.capability_names import CAPABILITIES
from crishim.core.errors import InvalidArgumentError
from crishim.model.container import ContainerSecurity
from crishim.model.pod import ProfileType, SecurityProfile
from tests.unit.crishim.container.spec.parts import HOST

RUNTIME_DEFAULT = SecurityProfile(ProfileType.RUNTIME_DEFAULT)
UNCONFINED = SecurityProfile(ProfileType.UNCONFINED)
LOCALHOST = SecurityProfile(ProfileType.LOCALHOST, "/p.json")
LOADED = {"defaultAction": "SCMP_ACT_ALLOW"}

HEADERS = Path("/usr/include/x86_64-linux-gnu/asm")
ALLOW, EPERM = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"


def unconditional(profile: dict[str, Any], action: str) -> set[str]:
    rules = [rule for rule in profile["syscalls"] if rule["action"] == action and not rule["args"]]
    return {name for rule in rules for name in rule["names"]}


@pytest.mark.parametrize(
    ("asked", "privileged", "expected"),
    [
        (None, False, None),
        (UNCONFINED, False, None),
        (LOCALHOST, False, LOADED),
        (RUNTIME_DEFAULT, False, default_profile(DEFAULT_CAPABILITIES, "x86_64")),
        (RUNTIME_DEFAULT, True, None),
        (LOCALHOST, True, None),
    ],
)
def test_which_profile(asked: SecurityProfile | None, privileged: bool, expected: object) -> None:
    assert seccomp(ContainerSecurity(seccomp=asked, privileged=privileged), HOST, LOADED) == expected


@pytest.mark.parametrize(
    ("asked", "file"),
    [
        (LOCALHOST, "/p.json"),
        (SecurityProfile(ProfileType.LOCALHOST, "localhost//p.json"), "/p.json"),
        (RUNTIME_DEFAULT, None),
        (None, None),
    ],
)
def test_which_file(asked: SecurityProfile | None, file: str | None) -> None:
    assert seccomp_file(ContainerSecurity(seccomp=asked)) == file
    assert seccomp_file(ContainerSecurity(seccomp=asked, privileged=True)) is None


def test_a_file_that_was_not_loaded() -> None:
    with pytest.raises(InvalidArgumentError, match=r"seccomp.localhost_ref: the profile was not loaded"):
        seccomp(ContainerSecurity(seccomp=LOCALHOST), HOST, None)


@pytest.mark.parametrize(
    ("asked", "has_seccomp", "message"),
    [
        (RUNTIME_DEFAULT, False, "security_context.seccomp: the kernel has no seccomp"),
        (
            SecurityProfile(ProfileType.LOCALHOST, "p.json"),
            True,
            "seccomp.localhost_ref: expected an absolute path; found 'p.json'",
        ),
        (
            SecurityProfile(ProfileType.LOCALHOST, "localhost/p.json"),
            True,
            "seccomp.localhost_ref: expected an absolute path",
        ),
    ],
)
def test_refused(asked: SecurityProfile, has_seccomp: bool, message: str) -> None:
    host = replace(HOST, seccomp=has_seccomp)
    with pytest.raises(InvalidArgumentError, match=message):
        check_seccomp(ContainerSecurity(seccomp=asked), host)
    check_seccomp(ContainerSecurity(seccomp=asked, privileged=True), host)


@pytest.mark.parametrize("asked", [None, UNCONFINED])
def test_a_kernel_without_seccomp(asked: SecurityProfile | None) -> None:
    check_seccomp(ContainerSecurity(seccomp=asked), replace(HOST, seccomp=False))


def test_every_call_is_decided_once() -> None:
    by_architecture = frozenset().union(*BY_ARCHITECTURE.values())
    by_capability = frozenset().union(*BY_CAPABILITY.values()) - {"clone"}
    groups = [ALLOWED, CONDITIONAL, by_architecture, by_capability, REFUSED, OBSOLETE]
    assert sum(map(len, groups)) == len(frozenset().union(*groups))


@pytest.mark.skipif(not HEADERS.exists(), reason="needs the kernel's headers")
@pytest.mark.parametrize("header", ["unistd_64.h", "unistd_32.h", "unistd_x32.h"])
def test_every_call_of_the_kernel_is_decided(header: str) -> None:
    calls = set(re.findall(r"^#define __NR_(\w+) ", (HEADERS / header).read_text(), re.MULTILINE))
    decided = ALLOWED.union(CONDITIONAL, REFUSED, OBSOLETE, *BY_ARCHITECTURE.values(), *BY_CAPABILITY.values())
    assert calls - decided == set()


@pytest.mark.parametrize("capability", sorted(BY_CAPABILITY))
def test_capabilities_open_their_calls(capability: str) -> None:
    calls = BY_CAPABILITY[capability] - {"clone", "clone3"}
    with_it, without = default_profile({capability}, "x86_64"), default_profile((), "x86_64")
    assert calls <= unconditional(with_it, ALLOW)
    assert calls <= unconditional(without, EPERM)


@pytest.mark.parametrize("capabilities", [(), CAPABILITIES])
def test_no_call_is_both_allowed_and_refused(capabilities: tuple[str, ...]) -> None:
    profile = default_profile(capabilities, "x86_64")
    assert unconditional(profile, ALLOW) & unconditional(profile, EPERM) == set()
    assert unconditional(profile, EPERM) >= REFUSED
    assert not OBSOLETE & unconditional(profile, ALLOW)


def test_the_rest_is_not_there() -> None:
    profile = default_profile((), "x86_64")
    assert (profile["defaultAction"], profile["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 38)


@pytest.mark.parametrize(
    ("architecture", "known", "call"),
    [
        ("x86_64", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "arch_prctl"),
        ("aarch64", ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"], "set_tls"),
        ("ppc64le", None, "swapcontext"),
        ("riscv64", None, "riscv_flush_icache"),
        ("s390x", None, "s390_pci_mmio_read"),
        ("mips64", None, "read"),
    ],
)
def test_architectures(architecture: str, known: list[str] | None, call: str) -> None:
    profile = default_profile((), architecture)
    assert profile.get("architectures") == known
    assert call in unconditional(profile, ALLOW)


def test_clone_makes_no_namespace() -> None:
    rules = [rule for rule in default_profile((), "x86_64")["syscalls"] if rule["names"] == ["clone"]]
    allowed = [rule["args"][0] for rule in rules if rule["action"] == ALLOW]
    assert allowed == [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
    refused = [rule["args"][0] for rule in rules if rule["action"] == EPERM]
    assert sum(argument["value"] for argument in refused) == 0x7E020000
    assert all(argument["value"] == argument["valueTwo"] for argument in refused)


def test_the_flags_of_clone_have_another_place_on_s390x() -> None:
    rules = [rule for rule in default_profile((), "s390x")["syscalls"] if rule["names"] == ["clone"]]
    assert {rule["args"][0]["index"] for rule in rules} == {1}


def test_clone_is_free_for_an_administrator() -> None:
    profile = default_profile({"CAP_SYS_ADMIN"}, "x86_64")
    assert {"clone", "clone3"} <= unconditional(profile, ALLOW)
    assert not [rule for rule in profile["syscalls"] if rule["names"] == ["clone"]]


def test_parse() -> None:
    text = b"""{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "archMap": [], "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "comment": "x",
         "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}]}"""
    assert parse_profile(text, "/p") == {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "syscalls": [
            {
                "names": ["read"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}],
            }
        ],
    }


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\xff", b'{"defaultAction": 1}', b"[" * 100000])
def test_not_a_profile(text: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match=r"seccomp: /p.json: not a seccomp profile"):
        parse_profile(text, "/p.json")
