from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from crishim.core.config import Loaded, load_config
from crishim.core.errors import ConfigError

Load = Callable[[str], Loaded]

SERVER = 'plugins."io.containerd.grpc.v1.cri"'
RUNTIME = 'plugins."io.containerd.cri.v1.runtime"'
IMAGES = 'plugins."io.containerd.cri.v1.images"'
HANDLER = f"{RUNTIME}.containerd.runtimes.runc"
TLS = f"{SERVER}.x509_key_pair_streaming"

ERRORS = [
    (f"version = 2\n{SERVER}.cni.max_conf_num = 'one'", f'{SERVER}.cni.max_conf_num: found "one", expected an integer'),
    (f"version = 3\n{RUNTIME}.cni.max_conf_num = -1", f"{RUNTIME}.cni.max_conf_num: found -1, expected an integer, 0"),
    (f"version = 3\n{RUNTIME}.cni = 3", f"{RUNTIME}.cni: found 3, expected a table"),
    (f"version = 3\n{RUNTIME} = []", f"{RUNTIME}: found a list of 0, expected a table"),
    (f"version = 3\n{SERVER} = 1", f"{SERVER}: found 1, expected a table"),
    (f"version = 2\n{SERVER} = 1", f"{SERVER}: found 1, expected a table"),
    (f"version = 3\n{RUNTIME}.cni.bin_dirs = ['/a', 'b']", "cni.bin_dirs: found a list of 2, expected a list of abs"),
    (f"version = 3\n{RUNTIME}.cni.conf_dir = ''", 'cni.conf_dir: found "", expected an absolute path'),
    (f"version = 3\n{RUNTIME}.cni.conf_dir = '/a\\u0000'".replace("'", '"'), "expected an absolute path"),
    (f"version = 3\n{RUNTIME}.cni.ip_pref = 'v4'", 'ip_pref: found "v4", expected "ipv4", "ipv6", "cni" or ""'),
    (f"version = 3\n{RUNTIME}.cni = {{ bin_dir = '/a', bin_dirs = ['/b'] }}", 'bin_dir: found "/a", expected only one'),
    (f"version = 3\n{RUNTIME}.enable_selinux = 'no'", f'{RUNTIME}.enable_selinux: found "no", expected true or false'),
    (f"version = 3\n{RUNTIME}.drain_exec_sync_io_timeout = '5'", 'found "5", expected a duration such as'),
    (f"version = 3\n{RUNTIME}.containerd.default_runtime_name = 'x'", "expected a key of containerd.runtimes: runc"),
    (f"version = 3\n{RUNTIME}.containerd.runtimes = 1", "containerd.runtimes: found 1, expected a table"),
    (f"version = 3\n{RUNTIME}.containerd.runtimes.'a b'.options = 1", '.runtimes."a b".options: found 1, expected a t'),
    (f"version = 3\n{HANDLER}.options.BinaryName = 'a/b'", "expected a name to look for in PATH, an absolute path"),
    (f"version = 3\n{HANDLER}.options.SystemdCgroup = 1", f"{HANDLER}.options.SystemdCgroup: found 1, expected true"),
    (f"version = 3\n{HANDLER}.privileged_without_host_devices_all_devices_allowed = true", "found true, expected priv"),
    (f"version = 3\n{SERVER}.stream_server_port = '65536'", 'found "65536", expected a port as a string'),
    (f"version = 3\n{SERVER}.stream_server_port = 10010", "found 10010, expected a port as a string"),
    (f"version = 3\n{TLS}.tls_key_file = '/k'", f"{SERVER}.enable_tls_streaming: found false, expected true"),
    (f"version = 3\n{SERVER}.enable_tls_streaming = true\n{TLS}.tls_key_file = '/k'", "tls_cert_file: found "),
    ("crishim.address = '/" + 107 * "a" + "'", "expected an absolute path of at most 107 characters"),
    ("crishim.cni.plugin_timeout = '0s'", 'crishim.cni.plugin_timeout: found "0s", expected a duration above 0'),
    ("crishim.cni.exceptions = { '../x' = 'exec' }", "crishim.cni.exceptions: found a table, expected a table of plug"),
    ("crishim.cni.exceptions = { x = 'y' }", 'each "builtin", "exec" or "auto"'),
    ("crishim.log_level = 7", 'crishim.log_level: found 7, expected "debug", "info", "warning" or "error"'),
    ("crishim.root = '/a/../b'", 'crishim.root: found "/a/../b", expected an absolute path without . or ..'),
    ("crishim.state = '/a/.'", 'crishim.state: found "/a/.", expected an absolute path without . or ..'),
    ("crishim.root = 0x" + 5000 * "f", "crishim.root: found an integer of 20000 bits, expected an absolute path"),
    ("crishim.root = 1979-05-27", "crishim.root: found 1979-05-27, expected"),
    ("version = 5", "version: found 5, expected 2, 3 or 4"),
    ("version = true", "version: found true, expected 2, 3 or 4"),
    (f"[{SERVER}]", f"version: found no version, which means 1, in a file with {SERVER}, expected 2, 3 or 4"),
    ("version = 1\n[plugins.cri.cni]", "version: found 1 in a file with plugins.cri, expected 2, 3 or 4"),
    ("plugins = 1", "plugins: found 1, expected a table"),
    ("imports = 'x'", 'imports: found "x", expected a list of paths'),
    ("a = 1\nb =", "not valid TOML: Invalid value (at line 2, column 4)"),
    ("a = 1\nb = ?", "not valid TOML: Invalid value (at line 2, column 5)"),
    ("a = " + 5000 * "1", "not valid TOML: "),
    ("a = " + 100_000 * "[", "not valid TOML: nested too deeply"),
    (f"version = 3\n{IMAGES}.registry.mirrors{5000 * '.a'} = 1", f"{IMAGES}: nested too deeply"),
    ("#" * (1 << 20) + "#", "found more than 1048576 bytes"),
]


@pytest.mark.parametrize(("text", "message"), ERRORS, ids=[message[-40:] for _, message in ERRORS])
def test_an_error_says_file_key_found_and_expected(load: Load, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load(text)
    assert str(caught.value).startswith(f"{tmp_path / 'config.toml'}: ")


def test_bad_utf8_names_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"a = 1\nb = '\xff'")
    with pytest.raises(ConfigError, match=r"not UTF-8 \(at line 2, column 6\)"):
        load_config(path)


def test_a_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path)


def test_an_error_names_the_imported_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "more.toml").write_text("crishim.root = 1")
    with pytest.raises(ConfigError, match=r"more\.toml: crishim\.root: found 1"):
        load('imports = ["more.toml"]')


def test_a_long_value_is_cut(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"found .{1,70}, expected"):
        load(f"crishim.root = '{1000 * 'x'}'")
