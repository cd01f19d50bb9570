"""The library and the program, which stands in for it, do the same."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from cni_runtime.net.libnftables import LibraryNft, NftError, ProgramNft
from cni_runtime.testing.host import Host

MAKE = "add table inet x\nadd set inet x s { type ipv4_addr; }\nadd element inet x s { 10.0.0.1 }\n"
EITHER = pytest.mark.parametrize("make", [LibraryNft, ProgramNft])
Make = Callable[[], LibraryNft | ProgramNft]


@EITHER
def test_commands_are_carried_out_and_answered_in_json(host_netns: Host, make: Make) -> None:
    nft = make()
    nft.run(MAKE)
    assert "10.0.0.1" in host_netns.run("nft", "list", "ruleset")
    kinds = [next(iter(entry)) for entry in json.loads(nft.run("list table inet x\n"))["nftables"]]
    assert kinds == ["metainfo", "table", "set"]
    nft.close()


@EITHER
def test_a_transaction_is_all_or_nothing(host_netns: Host, make: Make) -> None:
    nft = make()
    nft.run(MAKE)
    with pytest.raises(NftError, match="File exists"):
        nft.run("create element inet x s { 10.0.0.2 }\ncreate element inet x s { 10.0.0.1 }\n")
    assert "10.0.0.2" not in host_netns.run("nft", "list", "ruleset")
    nft.close()


@EITHER
def test_a_long_transaction(host_netns: Host, make: Make) -> None:
    nft = make()
    many = "".join(f"add element inet x s {{ 10.1.{number // 256}.{number % 256} }}\n" for number in range(5000))
    nft.run(MAKE + many)
    assert "10.1.19.135" in host_netns.run("nft", "list", "ruleset")
    nft.close()
