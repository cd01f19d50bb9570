from __future__ import annotations

from pathlib import Path

import pytest

from crishim.drivers.kernel_log import killed_in

# As a kernel of version 6.1 says it.
KILLED = (
    "6,1031,1010203040,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=container,mems_allowed=0,"
    "oom_memcg=/outer/pod.slice/crishim-c1.scope/container,task_memcg=/outer/pod.slice/crishim-c1.scope/container,"
    "task=dd,pid=7608,uid=0\n SUBSYSTEM=memory\n"
)


@pytest.mark.parametrize(
    ("group", "killed"),
    [
        ("/pod.slice/crishim-c1.scope", True),
        ("/pod.slice/crishim-c1.scope/container", True),
        ("/pod.slice/crishim-c2.scope", False),
        ("/pod.slice/crishim-c1", False),
        ("/other.slice/crishim-c1.scope", False),
    ],
)
def test_the_group_or_one_below_it_has_to_be_named(tmp_path: Path, group: str, killed: bool) -> None:
    (tmp_path / "log").write_text(KILLED)
    assert killed_in(group, tmp_path / "log") == killed


@pytest.mark.parametrize("text", ["", "6,1,2,-;eth0: link becomes ready\n", KILLED.partition(",task=")[0]])
def test_what_is_not_about_a_killed_process_is_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "log").write_text(text)
    assert not killed_in("/pod.slice/crishim-c1.scope", tmp_path / "log")


def test_without_a_log_nothing_is_known(tmp_path: Path) -> None:
    assert not killed_in("/pod.slice/crishim-c1.scope", tmp_path / "log")
