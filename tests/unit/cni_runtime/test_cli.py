"""cni-runtime: environment, output and errors, with plugins that are shell scripts."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cni_runtime.cli import app, container_id, read_environment
from cni_runtime.errors import CniError, ErrorCode

# Prints a result that tells what it was told.
PLUGIN = """#!/bin/sh
config=$(cat)
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_NETNS $CNI_IFNAME $CNI_ARGS $config" >> "{log}"
case $CNI_COMMAND in
ADD) echo '{{"cniVersion": "1.1.0", "ips": [{{"address": "10.0.0.2/24"}}]}}' ;;
CHECK) echo '{{"cniVersion": "1.1.0", "code": 101, "msg": "route gone", "details": "0.0.0.0/0"}}'; exit 1 ;;
esac
"""


class Cli:
    """The command in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.log = directory, directory / "log"
        (directory / "demo").write_text(PLUGIN.format(log=self.log))
        (directory / "demo").chmod(0o755)
        network = {"name": "net", "cniVersion": "1.1.0", "plugins": [{"type": "demo", "capabilities": {"mac": True}}]}
        (directory / "10-net.conflist").write_text(json.dumps(network))

    def __call__(self, *args: str, **env: str) -> tuple[int, str]:
        environ = {"CNI_PATH": str(self.directory), "NETCONFPATH": str(self.directory), **env}
        result = CliRunner().invoke(app, [*args, "--cache-dir", str(self.directory)], env=environ)
        return result.exit_code, result.stdout


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_add_prints_the_result_and_keeps_it(cli: Cli) -> None:
    code, output = cli("add", "net", "/run/netns/a")
    assert (code, json.loads(output)) == (0, {"cniVersion": "1.1.0", "ips": [{"address": "10.0.0.2/24"}]})
    assert (cli.directory / "results" / f"net-{container_id('/run/netns/a')}-eth0").exists()


def test_the_plugin_is_told_what_the_environment_says(cli: Cli) -> None:
    cli("add", "net", "/run/netns/a", CNI_IFNAME="net1", CNI_ARGS="A=1;B=2", CAP_ARGS='{"mac": "x", "ips": []}')
    command, _, netns, ifname, args, config = cli.log.read_text().split(maxsplit=5)
    assert (command, netns, ifname, args) == ("ADD", "/run/netns/a", "net1", "A=1;B=2")
    assert json.loads(config)["runtimeConfig"] == {"mac": "x"}


def test_del_forgets(cli: Cli) -> None:
    cli("add", "net", "/run/netns/a")
    assert cli("del", "net", "/run/netns/a") == (0, "")
    assert list((cli.directory / "results").iterdir()) == []
    assert '"prevResult"' in cli.log.read_text().splitlines()[1]


def test_the_plugins_error_is_printed_as_an_error_object(cli: Cli) -> None:
    code, output = cli("check", "net", "/run/netns/a")
    error = json.loads(output)
    assert (code, error["code"], error["details"], error["cniVersion"]) == (1, 101, "0.0.0.0/0", "1.1.0")
    assert "route gone" in error["msg"]


def test_gc_removes_what_is_left_and_needs_no_namespace(cli: Cli) -> None:
    cli("add", "net", "/run/netns/a")
    assert cli("gc", "net") == (0, "")
    assert [line.split()[0] for line in cli.log.read_text().splitlines()] == ["ADD", "DEL", "GC"]


def test_status_is_silent_when_all_is_well(cli: Cli) -> None:
    assert cli("status", "net") == (0, "")
    assert cli.log.read_text().startswith("STATUS")


@pytest.mark.parametrize(
    ("args", "env", "code"),
    [
        (["add", "other", "/x"], {}, ErrorCode.INVALID_NETWORK_CONFIG),
        (["add", "net", "/x"], {"CNI_ARGS": "A"}, ErrorCode.INVALID_ENVIRONMENT),
        (["add", "net", "/x"], {"CNI_ARGS": "A="}, ErrorCode.INVALID_ENVIRONMENT),
        (["add", "net", "/x"], {"CNI_ARGS": "A=1=2"}, ErrorCode.INVALID_ENVIRONMENT),
        (["add", "net", "/x"], {"CAP_ARGS": "[]"}, ErrorCode.INVALID_ENVIRONMENT),
        (["add", "net", "/x"], {"CNI_IFNAME": "a/b"}, ErrorCode.INVALID_ENVIRONMENT),
        (["add", "net", "/x"], {"CNI_PATH": "/nonexistent"}, ErrorCode.PLUGIN_NOT_AVAILABLE),
    ],
)
def test_what_is_wrong_is_said_on_standard_output(cli: Cli, args: list[str], env: dict[str, str], code: int) -> None:
    status, output = cli(*args, **env)
    assert (status, json.loads(output)["code"]) == (1, code)


def test_the_container_id_is_the_one_cnitool_derives() -> None:
    assert container_id("/var/run/netns/testing") == "cnitool-77383ca0a0715733ca6f"


def test_a_relative_namespace_is_made_absolute(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cli.directory)
    cli("add", "net", "x/../netns")
    assert cli.log.read_text().split()[2] == str(cli.directory / "netns")


def test_an_empty_environment_has_the_usual_defaults() -> None:
    env = read_environment({})
    assert (str(env.conf_dir), env.ifname, env.args, env.capability_args) == ("/etc/cni/net.d", "eth0", (), {})
    assert [str(directory) for directory in env.plugin_path] == ["/opt/cni/bin", "/usr/lib/cni"]


@pytest.mark.parametrize("text", ["{", "null", "1", "[" * 100_000])
def test_capability_arguments_are_an_object(text: Any) -> None:
    with pytest.raises(CniError, match="CAP_ARGS"):
        read_environment({"CAP_ARGS": text})


def test_install_plugins(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["install-plugins", str(tmp_path)])
    assert (result.exit_code, f"written: {tmp_path}/bridge\n" in result.stdout) == (0, True)
    result = CliRunner().invoke(app, ["install-plugins", "--uninstall", str(tmp_path)])
    assert (result.exit_code, f"deleted: {tmp_path}/bridge\n" in result.stdout) == (0, True)


def test_install_plugins_names_the_file_in_its_way(tmp_path: Path) -> None:
    (tmp_path / "bridge").touch()
    result = CliRunner().invoke(app, ["install-plugins", str(tmp_path)])
    assert (result.exit_code, f"error: {tmp_path}/bridge: not made by" in result.stderr) == (1, True)
    assert CliRunner().invoke(app, ["install-plugins", "--force", str(tmp_path)]).exit_code == 0
