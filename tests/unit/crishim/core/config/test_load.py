from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from crishim.core.config import CniConfig, Config, IPPreference, Loaded, LogFormat, PluginSource, effective, load_config
from crishim.core.config.types import ImageConfig, RuntimeHandler
from crishim.core.errors import ConfigError

Load = Callable[[str], Loaded]

DATA = Path(__file__).parent / "data"
SERVER = 'plugins."io.containerd.grpc.v1.cri"'
RUNTIME = 'plugins."io.containerd.cri.v1.runtime"'
IMAGES = 'plugins."io.containerd.cri.v1.images"'
CONTAINERD_CNI = CniConfig(bin_dirs=(Path("/opt/cni/bin"),))


def test_containerd_1_default_loads_without_a_warning() -> None:
    loaded = load_config(DATA / "version2.toml")
    expected = Config(cni=CONTAINERD_CNI, enable_unprivileged_icmp=False, enable_unprivileged_ports=False)
    assert loaded == Loaded(expected, (), (DATA / "version2.toml",))


def test_containerd_2_default_loads_without_a_warning() -> None:
    pinned = ImageConfig(pinned=("registry.example/pause:3.10.2",))
    expected = Config(cni=CONTAINERD_CNI, images=pinned)
    assert load_config(DATA / "version4.toml") == Loaded(expected, (), (DATA / "version4.toml",))


@pytest.mark.parametrize(
    ("version", "runtime", "images", "snapshotter"),
    [
        (2, SERVER, SERVER, f"{SERVER}.containerd"),
        (3, RUNTIME, IMAGES, IMAGES),
        (4, RUNTIME, IMAGES, IMAGES),
    ],
)
def test_every_version_says_the_same(load: Load, version: int, runtime: str, images: str, snapshotter: str) -> None:
    loaded = load(f"""
        version = {version}
        {runtime}.restrict_oom_score_adj = true
        {runtime}.enable_selinux = true
        {runtime}.disable_apparmor = true
        {runtime}.drain_exec_sync_io_timeout = "1m0.5s"
        {runtime}.cni = {{ conf_dir = "/c", max_conf_num = 0, ip_pref = "cni", conf_template = "/t" }}
        {runtime}.containerd.default_runtime_name = "kata"
        {runtime}.containerd.runtimes.kata = {{ pod_annotations = ["a.*"], options = {{ BinaryName = "/k" }} }}
        {images}.registry.config_path = "/a:/b"
        {snapshotter}.snapshotter = "overlayfs"
        {SERVER}.stream_server_port = "10010"
    """)
    config = loaded.config
    assert loaded.warnings == ()
    assert (config.restrict_oom_score_adj, config.drain_exec_sync_io_timeout) == (True, 60.5)
    assert (config.enable_selinux, config.disable_apparmor) == (True, True)
    assert config.cni == CniConfig(
        conf_dir=Path("/c"), max_conf_num=0, ip_pref=IPPreference.CNI, conf_template=Path("/t")
    )
    assert config.default_runtime_name == "kata"
    assert config.runtimes["kata"] == RuntimeHandler(binary_name="/k", pod_annotations=("a.*",))
    assert config.runtimes["runc"] == RuntimeHandler()
    assert config.images.config_path == (Path("/a"), Path("/b"))
    assert config.stream_server.port == 10010


def test_containerds_own_directories_and_socket_are_not_ours(load: Load) -> None:
    loaded = load('root = "/x"\nstate = "/y"\n[grpc]\naddress = "/z"')
    assert loaded == Loaded(Config(), (), loaded.files)


def test_own_keys(load: Load) -> None:
    config = load("""
        [crishim]
        root = "/r"
        state = "/s"
        address = "/a"
        log_format = "json"
        cni = { plugins = "exec", plugin_timeout = "1m30s", exceptions = { bridge = "builtin" } }
    """).config
    assert (config.root, config.state, config.address) == (Path("/r"), Path("/s"), Path("/a"))
    assert config.log_format is LogFormat.JSON
    assert config.cni.plugin_timeout == 90
    assert (config.cni.plugins, config.cni.exceptions) == (PluginSource.EXEC, {"bridge": PluginSource.BUILTIN})


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[crishim]\nroot = "/file"\nstate = "/file"')
    config = load_config(path, {"root": "/flag"}).config
    assert (config.root, config.state) == (Path("/flag"), Path("/file"))


def test_a_wrong_flag_is_an_error() -> None:
    with pytest.raises(ConfigError, match='command line: root: found "x", expected an absolute path'):
        load_config(DATA / "version2.toml", {"root": "x"})


@pytest.mark.parametrize(
    ("cni", "expected"),
    [
        ('bin_dir = "/a"', ["/a"]),
        ('bin_dir = "/a"\nbin_dirs = ["/opt/cni/bin"]', ["/a"]),
        ('bin_dir = ""\nbin_dirs = ["/b", "/c"]', ["/b", "/c"]),
        ("", ["/opt/cni/bin", "/usr/lib/cni"]),
    ],
)
def test_bin_dir_is_an_older_name_for_bin_dirs(load: Load, cni: str, expected: list[str]) -> None:
    config = load(f"version = 3\n[{RUNTIME}.cni]\n{cni}").config
    assert config.cni.bin_dirs == tuple(map(Path, expected))


def test_a_missing_named_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.toml: cannot be read: No such file"):
        load_config(tmp_path / "no.toml")


def test_imports_are_merged_in_order_and_read_once(tmp_path: Path) -> None:
    main, first, second = tmp_path / "config.toml", tmp_path / "conf.d" / "1.toml", tmp_path / "conf.d" / "2.toml"
    first.parent.mkdir()
    main.write_text(
        f'version = 3\nimports = ["conf.d/*.toml"]\n{RUNTIME}.cni = {{ conf_dir = "/m", bin_dirs = ["/m"] }}'
    )
    first.write_text(f'version = 2\n{SERVER}.cni = {{ bin_dirs = ["/1"], max_conf_num = 3 }}')
    second.write_text(f'imports = ["../config.toml"]\n{RUNTIME}.cni.max_conf_num = 5')
    loaded = load_config(main)
    assert loaded.files == (main, first, second)
    assert loaded.config.cni == CniConfig(conf_dir=Path("/m"), bin_dirs=(Path("/1"),), max_conf_num=5)


def test_effective_is_plain_json(load: Load) -> None:
    values = json.loads(json.dumps(effective(load("").config)))
    assert values["cni"]["conf_dir"] == "/etc/cni/net.d"
    assert values["runtimes"]["runc"]["cni_conf_dir"] is None
    assert values["stream_server"]["idle_timeout"] == 4 * 3600
    assert (values["rootDir"], values["stateDir"]) == (values["root"], values["state"])
