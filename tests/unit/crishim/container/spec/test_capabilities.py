"""Which capabilities a container has."""

import pytest
from msgspec.structs import replace

from crishim.container.spec.capabilities import DEFAULT_CAPABILITIES, capabilities, granted_capabilities
from crishim.core.capability_names import CAPABILITIES, capability_set
from crishim.core.errors import InvalidArgumentError
from crishim.model.container import Capabilities, ContainerSecurity
from tests.unit.crishim.container.spec.parts import HOST

ALL = frozenset(CAPABILITIES)
NARROW = replace(HOST, capabilities=ALL - {"CAP_SYS_RESOURCE", "CAP_MKNOD"})


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ((), (), DEFAULT_CAPABILITIES),
        (("NET_ADMIN",), (), DEFAULT_CAPABILITIES | {"CAP_NET_ADMIN"}),
        (("cap_net_admin",), (), DEFAULT_CAPABILITIES | {"CAP_NET_ADMIN"}),
        ((), ("CHOWN", "NET_ADMIN"), DEFAULT_CAPABILITIES - {"CAP_CHOWN"}),
        ((), ("ALL",), frozenset()),
        (("CHOWN",), ("all",), frozenset({"CAP_CHOWN"})),
        (("ALL",), (), ALL),
        (("ALL",), ("CHOWN",), ALL - {"CAP_CHOWN"}),
        (("CHOWN",), ("CHOWN",), DEFAULT_CAPABILITIES - {"CAP_CHOWN"}),
        (("ALL", "CHOWN"), ("ALL",), frozenset({"CAP_CHOWN"})),
    ],
)
def test_granted(add: tuple[str, ...], drop: tuple[str, ...], expected: frozenset[str]) -> None:
    assert granted_capabilities(ContainerSecurity(Capabilities(add, drop)), HOST) == expected


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        (ContainerSecurity(), DEFAULT_CAPABILITIES - {"CAP_MKNOD"}),
        (ContainerSecurity(Capabilities(add=("ALL",))), NARROW.capabilities),
        (ContainerSecurity(Capabilities(drop=("ALL",)), privileged=True), NARROW.capabilities),
    ],
)
def test_bounded_by_the_servers_own(security: ContainerSecurity, expected: frozenset[str]) -> None:
    assert granted_capabilities(security, NARROW) == expected


def test_the_object() -> None:
    asked = Capabilities(("NET_RAW", "CHOWN"), ("ALL",), ("NET_RAW",))
    sets = capabilities(ContainerSecurity(asked), HOST)
    both, one = ["CAP_CHOWN", "CAP_NET_RAW"], ["CAP_NET_RAW"]
    assert sets == {"bounding": both, "effective": both, "permitted": both, "inheritable": one, "ambient": one}


def test_nothing_is_inheritable_unasked() -> None:
    assert capabilities(ContainerSecurity(), HOST).keys() == {"bounding", "effective", "permitted"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Capabilities(add=("CHOWN", "FLY")), r"capabilities.add_capabilities\[1\]: expected the name of a capability"),
        (Capabilities(drop=("",)), r"capabilities.drop_capabilities\[0\]: expected the name"),
        (
            Capabilities(add=("SYS_RESOURCE",)),
            r"add_capabilities: CAP_SYS_RESOURCE is not in the server's own",
        ),
        (Capabilities(add_ambient=("SYS_ADMIN",)), r"add_ambient_capabilities: CAP_SYS_ADMIN is not among the contain"),
    ],
)
def test_refused(asked: Capabilities, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        capabilities(ContainerSecurity(asked), NARROW)


def test_names_by_number() -> None:
    assert capability_set(1 | 1 << 40 | 1 << 63) == {"CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"}
