"""Directories of layers: made aside, and removed however deep they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from crishim.core.errors import SystemCallError
from crishim.image.store.layers import LayerFiles
from crishim.testing.trees import nest

DEEP = 1100  # more than functions nest


@pytest.fixture
def layers(tmp_path: Path) -> LayerFiles:
    made = LayerFiles(tmp_path)
    made.prepare()
    return made


def left(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.glob("*/*"))


def test_a_deep_layer_is_removed(layers: LayerFiles, tmp_path: Path) -> None:
    staged = layers.stage()
    nest(staged, DEEP)
    layers.publish(staged, 7)
    layers.empty(layers.discard([layers.path(7), layers.path(8)]))
    assert left(tmp_path) == []


def test_what_a_killed_server_left_is_removed_however_deep(layers: LayerFiles, tmp_path: Path) -> None:
    nest(layers.stage(), DEEP)
    layers.discard([layers.stage()])
    layers.publish(layers.stage(), 7)
    assert LayerFiles(tmp_path).prepare() == {7}
    assert left(tmp_path) == ["layers/7"]


def test_what_is_no_directory_is_told(layers: LayerFiles, tmp_path: Path) -> None:
    (tmp_path / "trash/file").touch()
    with pytest.raises(SystemCallError, match=r"remove .*/trash/file: ELOOP"):
        layers.prepare()
