"""Configurations in a directory."""

import json
import os
from pathlib import Path

import pytest

from cni_runtime.conf.discovery import find_network, load_conf_dir
from cni_runtime.conf.parse import MAX_BYTES, parse_network_list
from cni_runtime.errors import ConfigError


def _conflist(directory: Path, file: str, name: str, *plugins: str, **extra: object) -> Path:
    path = directory / file
    body = {"name": name, "cniVersion": "1.0.0", "plugins": [{"type": plugin} for plugin in plugins], **extra}
    path.write_text(json.dumps(body if plugins else {key: body[key] for key in body if key != "plugins"}))
    return path


def _conf(directory: Path, file: str, name: str, plugin: str) -> Path:
    path = directory / file
    path.write_text(json.dumps({"name": name, "cniVersion": "0.4.0", "type": plugin}))
    return path


def _names(directory: Path, max_num: int = 0) -> list[str]:
    return [network.name for network in load_conf_dir(directory, max_num).networks]


def test_networks_are_in_file_name_order(tmp_path: Path) -> None:
    for name in "hbgcfdea":
        _conf(tmp_path, f"10-{name}.conf", name, "bridge")
    assert _names(tmp_path) == list("abcdefgh")
    assert _names(tmp_path, 2) == ["a", "b"]
    assert _names(tmp_path, -1) == list("abcdefgh")


def test_three_kinds_of_files_count_and_nothing_else(tmp_path: Path) -> None:
    _conflist(tmp_path, "20-b.conflist", "b", "bridge")
    _conf(tmp_path, "10-a.conf", "a", "bridge")
    _conf(tmp_path, "30-c.json", "c", "bridge")
    _conf(tmp_path, "05-no.conf.bak", "no", "bridge")
    (tmp_path / "00-dir.conf").mkdir()
    assert _names(tmp_path) == ["a", "b", "c"]
    assert load_conf_dir(tmp_path).skipped == ()


def test_a_bad_file_is_skipped_and_reported(tmp_path: Path) -> None:
    bad = tmp_path / "00-bad.conflist"
    bad.write_text("{")
    _conflist(tmp_path, "10-good.conflist", "good", "bridge")
    found = load_conf_dir(tmp_path, 1)
    assert [network.name for network in found.networks] == ["good"]
    assert [skipped.path for skipped in found.skipped] == [bad]
    assert found.problem() is None


def test_a_list_in_a_conf_file_is_reported(tmp_path: Path) -> None:
    _conflist(tmp_path, "10-list.conf", "list", "bridge")
    found = load_conf_dir(tmp_path)
    assert found.networks == ()
    assert "$.type: found nothing" in str(found.skipped[0].error)


@pytest.mark.parametrize("kind", ["pipe", "dangling", "large"])
def test_what_is_not_a_sensible_file_is_reported(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "10-x.conflist"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "dangling":
        path.symlink_to("nowhere")
    else:
        path.write_bytes(b" " * (MAX_BYTES + 1))
    assert [str(path) in str(skipped.error) for skipped in load_conf_dir(tmp_path).skipped] == [True]


def test_symlinked_files_count(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    _conflist(tmp_path / "..data", "net", "a", "bridge")
    (tmp_path / "10-a.conflist").symlink_to("..data/net")
    assert _names(tmp_path) == ["a"]


@pytest.mark.parametrize("exists", [True, False])
def test_an_empty_or_missing_directory_is_explained(tmp_path: Path, exists: bool) -> None:
    directory = tmp_path if exists else tmp_path / "gone"
    assert load_conf_dir(directory).problem() == f"no network configuration found in {directory}"


def test_a_directory_that_is_none_is_explained(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert "cannot read directory" in str(load_conf_dir(file).problem())


def test_the_problem_tells_why_files_were_skipped(tmp_path: Path) -> None:
    (tmp_path / "10-x.conflist").write_text("[]")
    assert "10-x.conflist: $: found an empty list" in str(load_conf_dir(tmp_path).problem())


def test_plugins_of_the_networks_own_directory_are_appended(tmp_path: Path) -> None:
    _conflist(tmp_path, "10-a.conflist", "a", "bridge")
    (tmp_path / "a").mkdir()
    _conf(tmp_path / "a", "20.conf", "", "portmap")
    _conf(tmp_path / "a", "10.conf", "", "tuning")
    (tmp_path / "a" / "30.conflist").write_text("not looked at")
    (network,) = load_conf_dir(tmp_path).networks
    assert [plugin.type for plugin in network.plugins] == ["bridge", "tuning", "portmap"]
    assert parse_network_list(network.raw, network.source) == network


def test_a_network_may_have_all_its_plugins_in_its_directory(tmp_path: Path) -> None:
    _conflist(tmp_path, "10-a.conflist", "a")
    assert "at least one plugin" in str(load_conf_dir(tmp_path).problem())
    (tmp_path / "a").mkdir()
    _conf(tmp_path / "a", "10.conf", "", "bridge")
    assert _names(tmp_path) == ["a"]


def test_inlined_only_means_inlined_only(tmp_path: Path) -> None:
    _conflist(tmp_path, "10-a.conflist", "a", "bridge", loadOnlyInlinedPlugins=True)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "10.conf").write_text("not looked at")
    assert len(load_conf_dir(tmp_path).networks[0].plugins) == 1


def test_a_bad_plugin_file_takes_its_network_out(tmp_path: Path) -> None:
    _conflist(tmp_path, "10-a.conflist", "a", "bridge")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "10.conf").write_text("{}")
    assert "a/10.conf: $.type: found nothing" in str(load_conf_dir(tmp_path).problem())


def test_a_list_wins_over_a_single_configuration_of_the_same_name(tmp_path: Path) -> None:
    _conf(tmp_path, "10-a.conf", "a", "ptp")
    _conflist(tmp_path, "20-a.conflist", "a", "bridge")
    assert find_network(tmp_path, "a").plugins[0].type == "bridge"


def test_an_unknown_network_is_an_error_that_tells_of_bad_files(tmp_path: Path) -> None:
    (tmp_path / "10-x.conflist").write_text("[]")
    with pytest.raises(ConfigError, match=r"no network called 'x' in .*: found an empty list"):
        find_network(tmp_path, "x")
