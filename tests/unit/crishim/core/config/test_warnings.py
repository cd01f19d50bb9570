from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from crishim.core.config import Config, Loaded

Load = Callable[[str], Loaded]

SERVER = 'plugins."io.containerd.grpc.v1.cri"'
RUNTIME = 'plugins."io.containerd.cri.v1.runtime"'
IMAGES = 'plugins."io.containerd.cri.v1.images"'
HANDLER = f"{RUNTIME}.containerd.runtimes.runc"

WARNINGS = [
    (f"{RUNTIME}.disable_cgroup = true", f"{RUNTIME}.disable_cgroup: not honoured (found true)"),
    (
        f"{RUNTIME}.max_container_log_line_size = 0",
        f"{RUNTIME}.max_container_log_line_size: not honoured (found 0)",
    ),
    (f"{RUNTIME}.cdi_spec_dirs = ['/x']", f"{RUNTIME}.cdi_spec_dirs: not honoured (found a list of 1)"),
    (f"{RUNTIME}.cni.bin_dir_s = ['/x']", f"{RUNTIME}.cni.bin_dir_s: unknown key, ignored; did you mean bin_dirs?"),
    (f"{RUNTIME}.x = 1", f"{RUNTIME}.x: unknown key, ignored"),
    (
        f"{HANDLER}.runtime_type = 'io.containerd.kata.v2'",
        f'{HANDLER}.runtime_type: not honoured (found "io.containerd.kata.v2"); '
        "crishim uses no shims: options.BinaryName names the OCI runtime",
    ),
    (f"{HANDLER}.options.ConfigPath = '/k'", f"{HANDLER}.options.ConfigPath: unknown key, ignored"),
    (
        f"{IMAGES}.registry.mirrors.'a.example' = {{ endpoint = ['x'] }}",
        f"{IMAGES}.registry.mirrors: not honoured (found a table); describe registries under config_path",
    ),
    (
        f"{SERVER}.cni.conf_dir = '/x'",
        f"{SERVER}.cni: ignored; in version 3 it is {RUNTIME}.cni",
    ),
    ("[plugins.cni]", "plugins.cni: unknown table in version 3, ignored"),
    (
        "[plugins.'io.containerd.cri.v1.runtimes']",
        'plugins."io.containerd.cri.v1.runtimes": unknown table in version 3, ignored',
    ),
    ("crishm.root = '/x'", "crishm: unknown key, ignored"),
    ("crishim.roots = '/x'", "crishim.roots: unknown key, ignored; did you mean root?"),
]


@pytest.mark.parametrize(("text", "warning"), WARNINGS, ids=[warning[:50] for _, warning in WARNINGS])
def test_what_is_not_honoured_is_named_and_changes_nothing(load: Load, tmp_path: Path, text: str, warning: str) -> None:
    loaded = load(f"version = 3\n{text}")
    assert loaded.warnings == (f"{tmp_path / 'config.toml'}: {warning}",)
    assert loaded.config.cni == Config().cni


@pytest.mark.parametrize(
    "text",
    [
        f"{RUNTIME}.enable_cdi = false",
        f"{IMAGES}.pinned_images.sandbox = 'x'",
        f"{IMAGES}.sandbox_image = 'x'",
        f"{RUNTIME}.containerd.default_runtime = {{ runtime_type = '', options = {{}} }}",
        "[plugins.'io.containerd.snapshotter.v1.zfs']\nroot_path = '/x'",
        "imports = ['conf.d/*.toml']",
    ],
)
def test_what_cannot_matter_is_quiet(load: Load, text: str) -> None:
    assert load(f"version = 3\n{text}").warnings == ()


def test_tables_of_a_later_version_are_named(load: Load) -> None:
    (warning,) = load(f"version = 2\n[{RUNTIME}.cni]").warnings
    assert warning.endswith(f"{RUNTIME}: unknown table in version 2, ignored")


def test_a_missing_import_is_named(load: Load, tmp_path: Path) -> None:
    (warning,) = load("imports = ['no.toml']").warnings
    assert warning == f"{tmp_path / 'config.toml'}: imports: {tmp_path / 'no.toml'} does not exist"
