from __future__ import annotations

from pathlib import Path

import pytest

from crishim.drivers.infra.dressing import find_catatonit


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (("usr/bin", "usr/libexec/podman"), "usr/bin"),
        (("usr/libexec/catatonit",), "usr/libexec/catatonit"),
        (("usr/libexec/podman",), "usr/libexec/podman"),
        ((), "usr/bin"),
    ],
)
def test_the_program_is_where_the_distribution_has_put_it(tmp_path: Path, there: tuple[str, ...], found: str) -> None:
    for directory in there:
        (tmp_path / directory).mkdir(parents=True)
        (tmp_path / directory / "catatonit").touch()
    assert find_catatonit(tmp_path) == tmp_path / found / "catatonit"
