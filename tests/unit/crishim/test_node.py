"""What the node says of itself, and its pod CIDR put to use."""

from __future__ import annotations

from pathlib import Path

import pytest

from cni_runtime.conf.parse import parse_network_list
from cni_runtime.conf.types import ConfDir
from cni_runtime.errors import CniError, ErrorCode
from crishim.core.config import CniConfig, Config
from crishim.core.errors import CrishimError, InvalidArgumentError, UnavailableError
from crishim.model.node import NodeFeatures, RuntimeHandler
from crishim.node import RENDERED_CONF, Node, template_values
from crishim.testing.cni import FakeCni, FixedDirectory

TEMPLATE = """{"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "bridge", "ipam": {"type": "host-local",
 "ranges": [{{range $i, $r := .PodCIDRRanges}}{{if $i}}, {{end}}[{"subnet": "{{$r}}"}]{{end}}]}}]}"""


async def no_checks() -> list[dict[str, object]]:
    return []


def make_node(
    tmp_path: Path,
    snapshot: ConfDir | None = None,
    *,
    template: bool = True,
    handlers: tuple[RuntimeHandler, ...] = (RuntimeHandler(""), RuntimeHandler("runc")),
) -> tuple[Node, FakeCni]:
    source = tmp_path / "pods.template"
    source.write_text(TEMPLATE)
    cni = CniConfig(conf_dir=tmp_path / "net.d", conf_template=source if template else None)
    fake = FakeCni()
    directory = FixedDirectory(snapshot or ConfDir(cni.conf_dir))
    return Node(Config(cni=cni), directory, fake, no_checks, "cgroupfs", handlers), fake


def configured(source: str) -> ConfDir:
    network = parse_network_list(b'{"cniVersion":"1.1.0","name":"n","plugins":[{"type":"bridge"}]}', source)
    return ConfDir(Path("/etc/cni/net.d"), (network,))


async def test_without_a_network_the_reason_names_the_directory(tmp_path: Path) -> None:
    node, _ = make_node(tmp_path)
    condition = (await node.status()).network
    assert (condition.ready, condition.reason) == (False, "NetworkPluginNotReady")
    assert str(tmp_path / "net.d") in condition.message


async def test_a_plugin_that_is_not_ready_makes_the_network_not_ready(tmp_path: Path) -> None:
    node, fake = make_node(tmp_path, configured("10-n.conflist"))
    assert (await node.status()).network.ready
    fake.failures["status"] = CniError("no addresses left")
    assert "no addresses left" in (await node.status()).network.message


async def test_limited_connectivity_is_told_but_the_node_stays_ready(tmp_path: Path) -> None:
    node, fake = make_node(tmp_path, configured("10-n.conflist"))
    fake.failures["status"] = CniError("FORWARD drops", code=ErrorCode.LIMITED_CONNECTIVITY)
    condition = (await node.status()).network
    assert (condition.ready, condition.reason) == (True, "LimitedConnectivity")
    assert "FORWARD drops" in condition.message


async def test_the_default_handler_and_every_named_one_are_listed(tmp_path: Path) -> None:
    node, _ = make_node(tmp_path)
    assert [handler.name for handler in (await node.status()).handlers] == ["", "runc"]


@pytest.mark.parametrize("user_namespaces", [True, False])
async def test_kubelet_is_told_of_what_it_would_refuse_pods_for(tmp_path: Path, user_namespaces: bool) -> None:
    node, _ = make_node(tmp_path, handlers=(RuntimeHandler("", user_namespaces=user_namespaces),))
    assert (await node.status()).features == NodeFeatures(
        supplemental_groups_policy=True, user_namespaces_host_network=user_namespaces, mount_options=True
    )


async def test_a_pod_cidr_is_rendered_into_the_configuration_directory(tmp_path: Path) -> None:
    node, _ = make_node(tmp_path)
    await node.update_pod_cidr("10.9.1.0/24,fd00:9::/64")
    network = parse_network_list((tmp_path / "net.d" / RENDERED_CONF).read_bytes(), "rendered")
    ranges = network.plugins[0].raw["ipam"]["ranges"]
    assert ranges == [[{"subnet": "10.9.1.0/24"}], [{"subnet": "fd00:9::/64"}]]


async def test_a_network_that_someone_else_configured_is_left_alone(tmp_path: Path) -> None:
    node, _ = make_node(tmp_path, configured("/etc/cni/net.d/10-flannel.conflist"))
    await node.update_pod_cidr("10.9.1.0/24")
    assert not (tmp_path / "net.d").exists()


async def test_what_was_rendered_before_is_rendered_again(tmp_path: Path) -> None:
    node, _ = make_node(tmp_path, configured(str(tmp_path / "net.d" / RENDERED_CONF)))
    await node.update_pod_cidr("10.9.2.0/24")
    assert "10.9.2.0/24" in (tmp_path / "net.d" / RENDERED_CONF).read_text()


async def test_without_a_template_nothing_is_written(tmp_path: Path) -> None:
    node, _ = make_node(tmp_path, template=False)
    await node.update_pod_cidr("10.9.1.0/24")
    assert not (tmp_path / "net.d").exists()


@pytest.mark.parametrize(("text", "kind"), [("{{.Nope", CrishimError), (None, UnavailableError)])
async def test_a_bad_or_missing_template_leaves_no_configuration(
    tmp_path: Path, text: str | None, kind: type[Exception]
) -> None:
    node, _ = make_node(tmp_path)
    template = tmp_path / "pods.template"
    template.write_text(text) if text else template.unlink()
    with pytest.raises(kind, match=r"pods\.template"):
        await node.update_pod_cidr("10.9.1.0/24")
    assert not (tmp_path / "net.d" / RENDERED_CONF).exists()


def test_routes_follow_the_families() -> None:
    values = template_values("10.9.1.7/24, fd00:9::/64")
    assert (values["PodCIDR"], values["Routes"]) == ("10.9.1.0/24", ["0.0.0.0/0", "::/0"])


@pytest.mark.parametrize("text", ["ten", "a/8", "10.9.1.7", "10.9.1.0/33", "10.9.1.0/24,", "10.9.1.0/24 fd00:9::/64"])
async def test_what_is_no_cidr_is_refused_with_or_without_a_template(tmp_path: Path, text: str) -> None:
    for template in (True, False):
        node, _ = make_node(tmp_path, template=template)
        with pytest.raises(InvalidArgumentError, match=r"runtime_config.network_config.pod_cidr: expected CIDRs"):
            await node.update_pod_cidr(text)
