"""The default AppArmor profile: whether the parser takes it, and which files it denies."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from crishim.container.spec.apparmor_text import profile_text
from crishim.core.errors import UnavailableError
from crishim.drivers.apparmor import ABI, PARSER
from crishim.drivers.process.programs import find_program

ABI_FILE = Path("/etc/apparmor.d", ABI)


def denied(path: str) -> str:
    """The letters of what the profile denies of ``path``."""
    rules = re.findall(r"deny (/\S+) (\w+),", profile_text("p"))
    return "".join(sorted({letter for glob, letters in rules if pattern(glob).fullmatch(path) for letter in letters}))


def pattern(glob: str) -> re.Pattern[str]:
    """The patterns of apparmor.d(5), as far as the profile has them."""
    return re.compile(glob.replace("**", ".*").replace("{,", "(|").replace("}", ")"))


@pytest.mark.parametrize("abi", ["", ABI])
def test_the_parser_takes_it(tmp_path: Path, abi: str) -> None:
    try:
        parser = find_program(PARSER)
    except UnavailableError:
        pytest.skip("there is no apparmor_parser")
    if not ABI_FILE.is_file():
        pytest.skip("the parser does not know the ABI")
    file = tmp_path / "profile"
    file.write_text(profile_text("crishim-default", abi))
    # As for a kernel with all that the ABI has, whatever this one has, and without giving it anything.
    options = ("--skip-kernel-load", "--skip-cache", "--stdout", "--kernel-features", str(ABI_FILE))
    ended = subprocess.run([parser, *options, file], capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert b"crishim-default" in ended.stdout


@pytest.mark.parametrize(
    ("path", "letters"),
    [
        ("/etc/passwd", ""),
        ("/process/x", ""),
        ("/proc/1/oom_score_adj", ""),
        ("/proc/21/task/21/attr/exec", ""),
        ("/proc/sys/kernel/shmmax", ""),
        ("/proc/sys/kernel/shm_rmid_forced", ""),
        ("/sys/fs/cgroup/pod/cgroup.procs", ""),
        ("/proc/uptime", "w"),
        ("/proc/irq/1/smp_affinity", "w"),
        ("/proc/scsi/scsi", "w"),
        ("/proc/sysvipc/shm", "w"),
        ("/proc/sys/net/ipv4/ip_forward", "w"),
        ("/proc/sys/kernel/core_pattern", "w"),
        ("/proc/sys/kernel/sem", "w"),
        ("/proc/sys/kernel/keys/maxkeys", "w"),
        ("/proc/kcore", "klrwx"),
        ("/proc/sysrq-trigger", "klrwx"),
        ("/sys/power/state", "klwx"),
        ("/sys/fs/bpf/x", "klwx"),
        ("/sys/fs/ext4/sda1/trigger", "klwx"),
        ("/sys/devices/virtual/net/eth0/mtu", "klwx"),
        ("/sys/devices/virtual/powercap/intel-rapl/energy_uj", "klrwx"),
        ("/sys/firmware/acpi/tables", "klrwx"),
        ("/sys/kernel/security/apparmor/profiles", "klrwx"),
    ],
)
def test_files_that_are_denied(path: str, letters: str) -> None:
    assert denied(path) == letters
