"""The options of an overlay mount, and what is closed after it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from cni_runtime.testing.shortage import no_threads_left, open_descriptors
from crishim.drivers.overlay import OverlayDriver, overlay_options


@pytest.mark.parametrize(
    ("layers", "upper", "options"),
    [
        (["/r/images/layers/2", "/r/images/layers/1"], None, "lowerdir=2:1"),
        (["/r/a,b", "/r/c:d"], None, r"lowerdir=a\\,b:c\\:d"),
        (["/r/l/1"], Path("/r/u"), "lowerdir=l/1,upperdir=/r/u,workdir=/r/w"),
    ],
)
def test_paths_are_relative_to_the_base(layers: list[str], upper: Path | None, options: str) -> None:
    base = "/r/images/layers" if "images" in layers[0] else "/r"
    made = overlay_options(base, layers, upper, Path("/r/w") if upper else None)
    assert re.sub(",index=off$", "", made) == options.replace("\\\\", "\\")


def test_a_label_is_one_option() -> None:
    made = overlay_options("/r", ["/r/1"], None, None, "system_u:object_r:container_file_t:s0:c1,c2")
    assert made.endswith(',context="system_u:object_r:container_file_t:s0:c1,c2"')


def test_five_hundred_layers_fit_into_a_page() -> None:
    layers = [f"/var/lib/crishim/images/layers/{number}" for number in range(1000, 1500)]
    assert len(overlay_options("/var/lib/crishim/images/layers", layers, None, None)) < 4096


@pytest.mark.anyio
async def test_what_no_thread_could_close_is_closed_later(tmp_path: Path) -> None:
    before = open_descriptors()
    (tmp_path / "c1/rootfs").mkdir(parents=True)
    await OverlayDriver(tmp_path).remove("c1")
    with no_threads_left():
        await asyncio.sleep(0.1)
        assert open_descriptors() == before + 1
    async with asyncio.timeout(10):
        while open_descriptors() != before:  # noqa: ASYNC110  # nobody is told
            await asyncio.sleep(0.01)
