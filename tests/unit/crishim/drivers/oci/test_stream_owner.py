"""Who gets the pipes of a container's processes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from crishim.core.errors import RuntimeFailedError
from crishim.drivers.oci.stream_owner import give, give_of, owner_of_streams, user_namespace
from crishim.drivers.process.identity import ProcessId, identify
from crishim.model.pod import IDMapping, NamespaceMode, UserNamespace

MAPPINGS = [{"containerID": 0, "hostID": 1000, "size": 10}]
IDS = (IDMapping(1000, 0, 10),)
USERNS = UserNamespace(NamespaceMode.POD, IDS, IDS)
ME = (os.getuid(), os.getgid())


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_the_ids_are_those_of_the_configuration() -> None:
    assert user_namespace({"uidMappings": MAPPINGS, "gidMappings": MAPPINGS}) == USERNS
    assert user_namespace({}) is None


@pytest.mark.parametrize(("process", "owner"), [({"user": {"uid": 5, "gid": 6}}, (1005, 1006)), ({}, (1000, 1000))])
def test_the_owner_is_the_processes_user(process: dict[str, object], owner: tuple[int, int]) -> None:
    assert owner_of_streams(USERNS, process) == owner


def changed(descriptor: int) -> int:
    """When the owner was last set, in the kernel's steps of some milliseconds."""
    return os.fstat(descriptor).st_ctime_ns


def test_only_pipes_are_given(pipe: tuple[int, int], tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        before = changed(file.fileno()), changed(pipe[0])
        while changed(pipe[0]) == before[1]:
            give((None, file.fileno(), pipe[1]), ME)
        assert changed(file.fileno()) == before[0]


def test_only_those_of_the_process_that_is_meant(pipe: tuple[int, int]) -> None:
    with subprocess.Popen(["sleep", "100"], stdin=subprocess.DEVNULL, stdout=pipe[1]) as child:
        try:
            process, before = identify(child.pid), changed(pipe[0])
            assert process
            while changed(pipe[0]) == before:
                give_of(process, ME)
            with pytest.raises(RuntimeFailedError, match="is gone"):
                give_of(ProcessId(process.pid, process.start + 1), ME)
        finally:
            child.kill()
