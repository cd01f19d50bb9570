"""Masked and read-only paths."""

import pytest

from crishim.container.spec.paths import check_guarded_paths, guarded_paths
from crishim.core.errors import InvalidArgumentError
from crishim.model.container import ContainerSecurity

SECURITY = ContainerSecurity(masked_paths=("/proc/kcore",), readonly_paths=("/proc/sys", "/proc/bus"))


def test_exactly_what_was_asked_for() -> None:
    lists = {"maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys", "/proc/bus"]}
    assert guarded_paths(SECURITY) == lists
    assert guarded_paths(ContainerSecurity()) == {"maskedPaths": [], "readonlyPaths": []}


def test_nothing_when_privileged() -> None:
    security = ContainerSecurity(masked_paths=("/a",), privileged=True)
    assert guarded_paths(security) == {"maskedPaths": [], "readonlyPaths": []}


@pytest.mark.parametrize(
    ("security", "message"),
    [
        (ContainerSecurity(masked_paths=("/a", "b")), r"masked_paths\[1\]: expected an absolute path; found 'b'"),
        (ContainerSecurity(readonly_paths=("/\0",)), r"readonly_paths\[0\]: expected text without NUL"),
    ],
)
def test_refused(security: ContainerSecurity, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        check_guarded_paths(security)
