"""The default configuration as a file with comments."""

from __future__ import annotations

from importlib import resources


def default_toml() -> str:
    """What ``crishim config default`` prints; read back, it is the default configuration, without a warning."""
    return resources.files(__package__).joinpath("default.toml").read_text(encoding="utf-8")
