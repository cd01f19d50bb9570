from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from crishim.core.errors import InvalidArgumentError
from crishim.drivers.conmon.argv import Monitor, command_line

MONITOR = Monitor(
    container_id="c1",
    program=Path("/usr/bin/conmon"),
    runtime=Path("/usr/bin/crun"),
    runtime_args=("--root=/r", "--log=/dev/null"),
    bundle=Path("/run/b/c1"),
    exits=Path("/run/exits"),
    log_path="/var/log/pods/a/0.log",
)
FLAGS = ("--terminal", "--stdin", "--leave-stdin-open", "--systemd-cgroup")


def test_the_command_line_says_what_to_run_and_where() -> None:
    assert command_line(MONITOR) == (
        "/usr/bin/conmon",
        "--api-version=1",
        "--sync",
        "--no-sync-log",
        "--full-attach",
        "--cid=c1",
        "--cuuid=c1",
        "--runtime=/usr/bin/crun",
        "--runtime-arg=--root=/r",
        "--runtime-arg=--log=/dev/null",
        "--bundle=/run/b/c1",
        "--container-pidfile=/run/b/c1/init.pid",
        "--exit-dir=/run/exits",
        "--log-path=k8s-file:/var/log/pods/a/0.log",
    )


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_is_there_when_it_is_wanted(flag: str) -> None:
    wanted = replace(MONITOR, **{flag[2:].replace("-", "_"): True})
    assert command_line(wanted)[-1] == flag


def test_without_a_path_nothing_is_logged() -> None:
    assert "--log-path=none" in command_line(replace(MONITOR, log_path=""))


def test_a_path_that_would_be_cut_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="without a colon; found '/a:b'"):
        command_line(replace(MONITOR, log_path="/a:b"))


def test_all_its_files_are_in_two_directories_and_the_exit_file_goes_last() -> None:
    files = MONITOR.files
    assert {path.parent for path in files.all[:-1]} == {MONITOR.bundle}
    assert files.all[-1] == files.exit == Path("/run/exits/c1")
