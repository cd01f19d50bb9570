from __future__ import annotations

from typer.testing import CliRunner

from crishim import __version__
from crishim.cli_commands import app


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"crishim {__version__}\n"
