"""Writes a configuration file and loads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from crishim.core.config import Loaded, load_config

Load = Callable[[str], Loaded]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str) -> Loaded:
        path = tmp_path / "config.toml"
        path.write_text(text)
        return load_config(path)

    return load
