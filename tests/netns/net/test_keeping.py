"""Tables of ours come back however they went, and whatever else happens to nftables meanwhile."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import anyio
import pytest

from cni_runtime.net.keeping import keep_tables
from cni_runtime.net.libnftables import open_nft
from cni_runtime.net.nft import Element, OwnedTable, Owner, Table
from cni_runtime.testing.host import Host

pytestmark = pytest.mark.anyio

TABLES = [
    Table(name, "set s { type ipv4_addr; }\nchain c {\ntype filter hook forward priority 0;\nip saddr @s accept\n}")
    for name in ("one", "two")
]
NOISE = "add table inet x\n" + "".join(f"add chain inet x c{number}\n" for number in range(400))


@pytest.mark.parametrize("way", ["flush ruleset", "delete table inet two", "flush table inet one"])
@pytest.mark.parametrize("noise", ["", NOISE], ids=["alone", "among many changes"])
async def test_what_was_flushed_comes_back(
    host_netns: Host, way: str, noise: str, caplog: pytest.LogCaptureFixture
) -> None:
    nft = open_nft()
    for table in TABLES:
        OwnedTable(table, nft).put(Owner("net", "a", "eth0"), (Element("s", "10.0.0.1"),))
    before = host_netns.rules()
    async with anyio.create_task_group() as group:
        group.start_soon(partial(keep_tables, pause=0.05))
        with caplog.at_level(logging.WARNING), anyio.fail_after(10):
            for _ in range(2):  # also after its own repair
                nft.run(f"{noise}{way}\n")
                while not before <= host_netns.rules():  # noqa: ASYNC110  # the kernel has no event for it
                    await anyio.sleep(0.05)
        group.cancel_scope.cancel()
    assert "made again" in caplog.text


async def test_a_state_that_can_not_be_read_for_now_ends_nothing(
    host_netns: Host, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nft, state = open_nft(), tmp_path / "state"
    OwnedTable(TABLES[0], nft, state).put(Owner("net", "a", "eth0"), (Element("s", "10.0.0.1"),))
    before = host_netns.rules()
    nft.run("flush ruleset\n")
    state.rename(tmp_path / "away")
    state.touch()
    async with anyio.create_task_group() as group:
        group.start_soon(partial(keep_tables, state, again=0.05))
        with anyio.fail_after(10):
            while "Not a directory" not in caplog.text:  # noqa: ASYNC110  # a log tells nobody
                await anyio.sleep(0.05)
            state.unlink()
            (tmp_path / "away").rename(state)
            while not before <= host_netns.rules():  # noqa: ASYNC110  # the kernel has no event for it
                await anyio.sleep(0.05)
        group.cancel_scope.cancel()


async def test_a_table_without_owners_stays_away(host_netns: Host) -> None:
    table = OwnedTable(TABLES[0], open_nft())
    table.put(Owner("net", "a", "eth0"), (Element("s", "10.0.0.1"),))
    table.drop(Owner("net", "a", "eth0"))
    with anyio.move_on_after(0.2):
        await keep_tables(pause=0)
    assert host_netns.rules() == set()
