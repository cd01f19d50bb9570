"""What the default profile really answers, in the kernel, under each runtime."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from crishim.model.container import Capabilities, ContainerSecurity, Mount
from crishim.model.pod import ProfileType, SecurityProfile
from tests.lab.kernel import KERNEL
from tests.netns.containers.oci import OWN_PID, Bundle, asked

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="knows the numbers of x86_64"),
]

PYTHON = Path(sys.executable).resolve()
MOUNTS = tuple(Mount(path, path, readonly=True) for path in {"/usr", "/lib", "/lib64", str(PYTHON.parents[1])})

# Each call by its number, with arguments that do no harm when it gets through.
PROBE = """
import ctypes, errno, json, os
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(number, *arguments):
    result = libc.syscall(*map(ctypes.c_long, (number, *arguments)))
    if number == 56 and result == 0:
        os._exit(0)
    return "ok" if result >= 0 else errno.errorcode[ctypes.get_errno()]
SIGCHLD = 17
print(json.dumps({
    "clone": call(56, SIGCHLD, 0, 0, 0, 0),
    "clone user": call(56, SIGCHLD | 0x10000000, 0, 0, 0, 0),
    "clone net and pid": call(56, SIGCHLD | 0x60000000, 0, 0, 0, 0),
    "clone3": call(435, 0, 0),
    "unshare user": call(272, 0x10000000),
    "mount": call(165, 0, 0, 0, 0, 0),
    "keyctl": call(250, 0, 0, 0),
    "io_uring_setup": call(425, 1, 0),
    "fchmodat2": call(452, -100, 0, 0, 0),
    "no such call": call(999),
    "socket inet": call(41, 2, 1, 0),
    "socket alg": call(41, 38, 5, 0),
    "socket vsock": call(41, 40, 1, 0),
    "personality query": call(135, 0xffffffff),
    "personality fixed addresses": call(135, 0x40000),
}))
"""

ALWAYS = {
    "clone": "ok",
    "keyctl": "EPERM",
    "io_uring_setup": "EPERM",
    "fchmodat2": "EFAULT" if KERNEL >= (6, 6) else "ENOSYS",
    "no such call": "ENOSYS",
    "socket inet": "ok",
    "socket alg": "EPERM",
    "socket vsock": "EPERM",
    "personality query": "ok",
    "personality fixed addresses": "ENOSYS",
}
WITHOUT_ADMIN = {
    "clone user": "EPERM",
    "clone net and pid": "EPERM",
    "clone3": "ENOSYS",
    "unshare user": "EPERM",
    "mount": "EPERM",
}
WITH_ADMIN = {
    "clone user": "ok",
    "clone net and pid": "ok",
    "clone3": "EINVAL",
    "unshare user": "ok",
    "mount": "EFAULT",
}


@pytest.mark.parametrize(("add", "expected"), [((), WITHOUT_ADMIN), (("SYS_ADMIN",), WITH_ADMIN)])
async def test_answers(bundle: Bundle, add: tuple[str, ...], expected: Mapping[str, str]) -> None:
    security = ContainerSecurity(Capabilities(add=add), namespaces=OWN_PID, seccomp=SecurityProfile())
    answers = bundle.run(asked(str(PYTHON), "-c", PROBE, mounts=MOUNTS, security=security))
    assert json.loads(answers) == {**ALWAYS, **expected}


async def test_a_profile_of_the_node(bundle: Bundle) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}],
    }
    security = ContainerSecurity(namespaces=OWN_PID, seccomp=SecurityProfile(ProfileType.LOCALHOST, "/profile.json"))
    config = asked("sh", "-c", "busybox mkdir /a 2>&1 || true", security=security)
    assert "Permission denied" in bundle.run(config, seccomp_profile=profile)
