"""Which addresses of a CNI result are the pod's, and in which order."""

import pytest

from cni_runtime.result import Interface, IPConfig, Result
from crishim.core.config.types import IPPreference
from crishim.sandbox.addresses import pod_ips

V6_FIRST = Result(ips=(IPConfig(address="fd00::2/64"), IPConfig(address="10.1.0.2/24"), IPConfig(address="fd00::3/64")))


@pytest.mark.parametrize(
    ("preference", "expected"),
    [
        (IPPreference.CNI, ("fd00::2", "10.1.0.2", "fd00::3")),
        (IPPreference.IPV4, ("10.1.0.2", "fd00::2", "fd00::3")),
        (IPPreference.IPV6, ("fd00::2", "fd00::3", "10.1.0.2")),
    ],
)
def test_preference_orders_the_addresses(preference: IPPreference, expected: tuple[str, ...]) -> None:
    assert pod_ips(V6_FIRST, preference) == expected


def test_addresses_of_the_host_are_not_the_pods() -> None:
    result = Result(
        interfaces=(Interface(name="cni0"), Interface(name="eth0", sandbox="/run/netns/x")),
        ips=(IPConfig(address="10.1.0.1/24", interface=0), IPConfig(address="10.1.0.2/24", interface=1)),
    )
    assert pod_ips(result, IPPreference.CNI) == ("10.1.0.2",)


def test_an_index_to_no_interface_counts_as_not_said() -> None:
    assert pod_ips(Result(ips=(IPConfig(address="10.1.0.2/24", interface=7),)), IPPreference.CNI) == ("10.1.0.2",)
