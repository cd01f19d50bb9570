"""Launchers in a directory: ours come, stay and go; other programs' files are left alone."""

import subprocess
from pathlib import Path

import pytest

from cni_runtime import launchers
from cni_runtime.launchers import ForeignFileError, install, launcher, search_path, uninstall
from cni_runtime.plugins.registry import TYPES


def test_every_type_has_a_launcher(tmp_path: Path) -> None:
    written = install(tmp_path / "new" / "bin")
    assert {path.name for path in written} == TYPES == {path.name for path in (tmp_path / "new/bin").iterdir()}
    assert {path.stat().st_mode & 0o777 for path in written} == {0o755}


def test_a_second_time_nothing_is_written(tmp_path: Path) -> None:
    install(tmp_path)
    assert install(tmp_path) == ()


def test_what_was_changed_is_written_again(tmp_path: Path) -> None:
    install(tmp_path)
    (tmp_path / "bridge").write_text(launcher("bridge", "/old/python", []))
    (tmp_path / "ptp").chmod(0o600)
    assert install(tmp_path) == (tmp_path / "bridge", tmp_path / "ptp")


def test_another_programs_file_stops_everything(tmp_path: Path) -> None:
    (tmp_path / "portmap").write_text("of another program")
    with pytest.raises(ForeignFileError, match=rf"{tmp_path}/portmap: not made by cni-runtime; --force"):
        install(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["portmap"]


def test_a_link_is_not_ours(tmp_path: Path) -> None:
    other = tmp_path / "other"
    install(other)
    (tmp_path / "bridge").symlink_to(other / "bridge")
    with pytest.raises(ForeignFileError, match="bridge"):
        install(tmp_path)


def test_force_replaces_another_programs_file(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("of another program")
    (tmp_path / "bridge").symlink_to(kept)
    install(tmp_path, force=True)
    assert launchers.is_ours(tmp_path / "bridge")
    assert kept.read_text() == "of another program"


def test_uninstall_takes_only_ours(tmp_path: Path) -> None:
    install(tmp_path)
    (tmp_path / "bridge").write_text("of another program")
    assert {path.name for path in uninstall(tmp_path)} == TYPES - {"bridge"}
    assert [path.name for path in tmp_path.iterdir()] == ["bridge"]


@pytest.mark.parametrize("name", ["with space", "it's", "long" * 30])
def test_an_interpreter_that_the_kernel_would_not_find(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    python = tmp_path / name / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    program = tmp_path / "plugin"
    program.write_text(launcher("bridge", str(python), []))
    for path in (python, program):
        path.chmod(0o755)
    assert subprocess.run([program], capture_output=True, check=True, text=True).stdout == f"-IS {program}\n"


def test_a_launcher_whose_packages_are_gone_says_so(tmp_path: Path) -> None:
    program = tmp_path / "bridge"
    program.write_text(launcher("bridge", "/usr/bin/env", []).replace("#!/usr/bin/env -IS", "#!/usr/bin/env python3"))
    program.write_text(program.read_text().replace("cni_runtime.standalone", "nobody_has.this"))
    program.chmod(0o755)
    done = subprocess.run([program], capture_output=True, check=False, text=True)
    assert (done.returncode, '"code": 999' in done.stdout, "nobody_has" in done.stdout) == (1, True, True)


def test_the_search_path_is_where_the_packages_are() -> None:
    path = search_path()
    assert any(Path(place, "cni_runtime/standalone.py").exists() for place in path)
    assert any(Path(place, "msgspec").is_dir() for place in path)
