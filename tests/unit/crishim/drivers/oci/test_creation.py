from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from crishim.core.errors import InvalidArgumentError, RuntimeFailedError, SystemCallError
from crishim.drivers.oci.creation import check_init, plan_monitor, plan_note, prepare
from crishim.drivers.oci.handlers import Handler
from crishim.drivers.oci.notes import Note, Notes
from crishim.drivers.oci.places import Places
from crishim.model.container import Container, ContainerConfig, ContainerMetadata, ImageSpec

PLACES = Places(Path("/run/oci"))
CRUN = Handler(name="h", program=Path("/usr/bin/crun"))
SYSTEMD = Handler(name="h", program=Path("/usr/bin/runc"), systemd_cgroup=True)


def container(**config: Any) -> Container:
    return Container(
        id="c1",
        sandbox_id="s",
        config=ContainerConfig(ContainerMetadata("a"), ImageSpec("i"), **config),
        runtime_handler="h",
        created_at=1,
        boot_id="b",
        log_path="/log/0.log",
    )


def note(path: str | None = "/pod/c1", handler: Handler = CRUN) -> Note:
    spec = {} if path is None else {"linux": {"cgroupsPath": path}}
    return plan_note(container(), handler, Path("/b"), spec)


@pytest.mark.parametrize(
    ("path", "handler", "group"),
    [
        ("/pod/c1", CRUN, "/pod/c1"),
        ("kubepods-pod1.slice:crishim:c1", SYSTEMD, "/kubepods.slice/kubepods-pod1.slice/crishim-c1.scope"),
        (None, CRUN, ""),
        ("", CRUN, ""),
    ],
)
def test_the_group_is_noted_as_it_will_be(path: str | None, handler: Handler, group: str) -> None:
    assert note(path, handler).group == group


@pytest.mark.parametrize(
    ("namespaces", "own"),
    [
        ([{"type": "pid"}, {"type": "mount"}], True),
        ([{"type": "pid", "path": ""}], True),
        ([{"type": "pid", "path": "/proc/7/ns/pid"}], False),
        ([{"type": "mount"}], False),
    ],
)
def test_a_pid_namespace_is_its_own_unless_it_is_joined(namespaces: list[dict[str, str]], own: bool) -> None:
    planned = plan_note(container(), CRUN, Path("/b"), {"linux": {"namespaces": namespaces}})
    assert planned.own_pids is own


@pytest.mark.parametrize("path", ["/", "/pod", "pod/c1", "/pod/../c1", "/c1/sub"])
def test_a_group_that_is_not_the_containers_own_is_refused(path: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"linux\.cgroupsPath"):
        note(path)


@pytest.mark.parametrize(
    ("config", "flags"),
    [
        ({}, (False, False, False)),
        ({"tty": True}, (True, False, False)),
        ({"stdin": True}, (False, True, True)),
        ({"stdin": True, "stdin_once": True}, (False, True, False)),
        ({"stdin_once": True}, (False, False, False)),
    ],
)
def test_the_monitor_is_told_of_the_streams(config: dict[str, bool], flags: tuple[bool, bool, bool]) -> None:
    monitor = plan_monitor(container(**config), note(), Path("/conmon"), PLACES)
    assert (monitor.terminal, monitor.stdin, monitor.leave_stdin_open) == flags


def test_the_monitor_runs_the_handlers_program_with_a_state_of_its_own() -> None:
    monitor = plan_monitor(container(), note("a.slice:x:c1", SYSTEMD), Path("/conmon"), PLACES)
    assert (monitor.runtime, monitor.systemd_cgroup) == (Path("/usr/bin/runc"), True)
    assert monitor.runtime_args[0] == "--root=/run/oci/runtimes/runc"


def test_nothing_is_noted_without_a_bundle_to_find_it_by(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("in the way")
    notes = Notes(tmp_path)
    planned = plan_note(container(), CRUN, tmp_path / "b", {})
    with pytest.raises(SystemCallError, match="EEXIST"):
        prepare(planned, notes, {})
    assert notes.find("c1") is None


def test_a_process_that_its_monitor_has_for_a_child_is_the_containers() -> None:
    with subprocess.Popen(["sleep", "1000"]) as child:
        try:
            assert check_init(child.pid, os.getpid()).pid == child.pid
        finally:
            child.kill()


@pytest.mark.parametrize(("pid", "words"), [(1 << 30, "is gone"), (os.getppid(), "which is another one")])
def test_any_other_process_is_not(pid: int, words: str) -> None:
    with pytest.raises(RuntimeFailedError, match=words):
        check_init(pid, os.getpid())
