"""The default configuration as a file with comments."""

from __future__ import annotations

from pathlib import Path


def default_toml() -> str:
    """What ``crishim config default`` prints; read back, it is the default configuration, without a warning."""
    return Path(__file__).with_name("default.toml").read_text(encoding="utf-8")
