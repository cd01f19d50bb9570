"""Rules that cannot be looked for may be there: DEL fails, so that it is made again."""

from __future__ import annotations

import dataclasses

import pytest

from cni_runtime.call import Verb
from cni_runtime.net.libnftables import NftError
from cni_runtime.plugins.base import Context
from cni_runtime.plugins.bridge.spoofcheck import remove_spoof_check
from cni_runtime.plugins.masquerade import end_masquerade
from tests.unit.cni_runtime.plugins.conftest import BrokenNft, MakeCall


class EmptyNft:
    """An nftables that has nothing, and refuses to show or change what is not there."""

    def run(self, commands: str) -> str:
        if not commands.startswith("list chains"):
            raise NftError(commands)
        return '{"nftables": [{"metainfo": {}}]}'


def test_an_error_is_not_taken_for_the_absence_of_spoof_checks() -> None:
    with pytest.raises(NftError, match="no memory"):
        remove_spoof_check(BrokenNft(), "c", "eth0")
    remove_spoof_check(EmptyNft(), "c", "eth0")


def test_an_error_is_not_taken_for_the_absence_of_masquerading(call: MakeCall, context: Context) -> None:
    made = call("bridge", verb=Verb.DEL, ipMasq=True)
    with pytest.raises(NftError, match="no memory"):
        end_masquerade(made, dataclasses.replace(context, nft=BrokenNft()))
    assert end_masquerade(made, dataclasses.replace(context, nft=EmptyNft())) == []


def test_nothing_is_looked_for_that_was_not_asked_for(call: MakeCall, context: Context) -> None:
    assert end_masquerade(call("bridge", verb=Verb.DEL), context) == []
