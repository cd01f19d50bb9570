"""What a plugin reads on standard input."""

from cni_runtime.conf.inject import gc_config, request_config
from cni_runtime.conf.parse import parse_network_list

NETWORK = parse_network_list(
    '{"name": "net", "cniVersion": "0.3.1", "cniVersions": ["1.1.0"], "plugins": [{"type": "portmap", "snat": true,'
    ' "name": "other", "cniVersion": "0.2.0", "capabilities": {"portMappings": true, "mac": false}}]}',
    "test",
)
PLUGIN = NETWORK.plugins[0]


def test_name_and_version_are_those_of_the_network() -> None:
    assert request_config(NETWORK, PLUGIN) == {**PLUGIN.raw, "name": "net", "cniVersion": "1.1.0"}


def test_the_configuration_itself_is_not_changed() -> None:
    request_config(NETWORK, PLUGIN, prev_result={}, capability_args={"portMappings": []})
    assert PLUGIN.raw["name"] == "other"
    assert "runtimeConfig" not in PLUGIN.raw


def test_only_declared_capabilities_get_their_arguments() -> None:
    args = {"portMappings": [{"hostPort": 80}], "mac": "aa:bb:cc:dd:ee:ff", "dns": {}}
    assert request_config(NETWORK, PLUGIN, capability_args=args)["runtimeConfig"] == {
        "portMappings": [{"hostPort": 80}]
    }


def test_there_is_no_runtime_config_without_arguments() -> None:
    assert "runtimeConfig" not in request_config(NETWORK, PLUGIN, capability_args={"mac": "x"})


def test_the_previous_result_is_handed_on() -> None:
    assert request_config(NETWORK, PLUGIN, prev_result={"ips": []})["prevResult"] == {"ips": []}
    assert "prevResult" not in request_config(NETWORK, PLUGIN)


def test_gc_names_the_valid_attachments_twice() -> None:
    config = gc_config(NETWORK, PLUGIN, [("c1", "eth0")])
    assert config["cni.dev/valid-attachments"] == [{"containerID": "c1", "ifname": "eth0"}]
    assert config["cni.dev/attachments"] == config["cni.dev/valid-attachments"]
    assert gc_config(NETWORK, PLUGIN, [])["cni.dev/valid-attachments"] == []
