"""Where the parts of a sandbox lie."""

from pathlib import Path

from msgspec.structs import replace

from crishim.model.pod import NamespaceMode, NamespaceOptions, PodConfig, PodMetadata, SandboxSecurity, UserNamespace
from crishim.sandbox.layout import Layout

LAYOUT = Layout(Path("/var/lib/crishim"), Path("/run/crishim"))
METADATA = PodMetadata(name="web", uid="u1", namespace="shop")


def test_an_ordinary_pod_has_three_namespaces_of_its_own() -> None:
    paths = LAYOUT.namespaces("abc", PodConfig(METADATA))
    assert paths == replace(LAYOUT.all_namespaces("abc"), user=None)


def test_a_pod_with_a_user_namespace_has_four() -> None:
    security = SandboxSecurity(namespaces=NamespaceOptions(userns=UserNamespace(NamespaceMode.POD)))
    assert LAYOUT.namespaces("abc", PodConfig(METADATA, security=security)) == LAYOUT.all_namespaces("abc")


def test_host_network_takes_the_uts_namespace_of_the_node_too() -> None:
    security = SandboxSecurity(namespaces=NamespaceOptions(network=NamespaceMode.NODE))
    paths = LAYOUT.namespaces("abc", PodConfig(METADATA, security=security))
    assert (paths.net, paths.uts, paths.ipc) == (None, None, "/run/crishim/sandboxes/abc/ipc")


def test_the_netns_name_follows_from_the_id_and_suits_ip_netns() -> None:
    first, again, other = LAYOUT.netns("abc"), LAYOUT.netns("abc"), LAYOUT.netns("abd")
    assert first == again != other
    assert first.startswith("/run/netns/cni-")
