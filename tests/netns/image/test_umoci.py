"""The same hard cases unpacked by us and by umoci: the trees must be the same."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from crishim.image.types import Compression
from crishim.testing.images import image, write_oci_archive
from tests.netns.image.hardcases import LAYERS
from tests.netns.image.lab import Seen, joined, look, unpack_all

NAME = "test.local/hard:cases"
ACROSS = "data/d"
"""A hard link to a file of a lower layer: overlayfs cannot link across layers, so the file is copied up."""


def _umoci(directory: Path, compression: Compression) -> Path:
    """The root file system that umoci makes of the hard cases."""
    archive, layout, bundle = directory / "hard.tar", directory / "layout", directory / "bundle"
    write_oci_archive(archive, {NAME: image(LAYERS, compression=compression)})
    layout.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", layout], check=True)
    subprocess.run(["umoci", "unpack", "--image", f"{layout}:cases", bundle], check=True, capture_output=True)
    return bundle / "rootfs"


@pytest.mark.skipif(shutil.which("umoci") is None, reason="needs umoci")
@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.NONE])
def test_the_trees_are_the_same(tmp_path: Path, compression: Compression) -> None:
    theirs = look(_umoci(tmp_path, compression), ignored_xattrs=["user.umoci.", "user.rootlesscontainers"])
    with joined(tmp_path, unpack_all(tmp_path, LAYERS)) as root:
        ours = look(root, ignored_xattrs=["trusted.overlay."])
    assert sorted(ours) == sorted(theirs)
    assert [name for name in ours if comparable(ours, name) != comparable(theirs, name)] == []
    assert (ours[ACROSS].links, theirs[ACROSS].links) == (2, 3)


def comparable(tree: dict[str, Seen], name: str) -> Seen:
    """Without what must differ: umoci lets the clock say when it changed a directory."""
    seen = tree[name]
    if seen.kind == "d":
        return replace(seen, mtime=0)
    return replace(seen, links=0) if name == ACROSS else seen
