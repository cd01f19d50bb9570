"""The options of an overlay mount."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crishim.drivers.overlay import overlay_options


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


def test_five_hundred_layers_fit_into_a_page() -> None:
    layers = [f"/var/lib/crishim/images/layers/{number}" for number in range(1000, 1500)]
    assert len(overlay_options("/var/lib/crishim/images/layers", layers, None, None)) < 4096
