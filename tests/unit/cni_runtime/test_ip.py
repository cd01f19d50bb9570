"""Addresses that are parsed once."""

from __future__ import annotations

import ipaddress

import pytest

from cni_runtime.ip import ip_address, ip_interface, normal_address, normal_interface


@pytest.mark.parametrize("text", ["10.1.2.3/24", "10.1.2.3", "fd00::5/64"])
def test_an_address_is_what_the_standard_library_says_and_parsed_once(text: str) -> None:
    assert ip_interface(text) == ipaddress.ip_interface(text)
    assert ip_interface(text) is ip_interface(text)


@pytest.mark.parametrize("text", ["", "10.1.2", "10.1.2.3/33", "fd00::5::"])
def test_what_is_no_address_stays_an_error(text: str) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="IPv4 or IPv6"):
            ip_interface(text)
    with pytest.raises(ValueError, match="IPv4 or IPv6"):
        ip_address(text)


def test_an_address_of_ipv4_in_the_notation_of_ipv6() -> None:
    assert normal_interface("::ffff:10.1.2.3/120") == "10.1.2.3/24"
    assert normal_interface("FD00::5/64") == "fd00::5/64"
    assert normal_address("::ffff:a01:203") == "10.1.2.3"
    with pytest.raises(ValueError, match="IPv4 or IPv6"):
        normal_interface("::ffff:10.1.2.3/64")
