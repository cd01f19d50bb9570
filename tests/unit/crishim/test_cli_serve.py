"""What a server has in memory before anybody asks for anything."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

_SERVER = "import sys, crishim.cli_serve, crishim.app; print(*sys.modules)"


@pytest.fixture(scope="module")
def imported() -> frozenset[str]:
    """The modules of a server that has just started."""
    output = subprocess.run([sys.executable, "-c", _SERVER], check=True, stdout=subprocess.PIPE, text=True).stdout
    return frozenset(output.split())


@pytest.mark.parametrize(
    "module",
    [
        *("aiohttp", "yarl", "email", "http", "urllib.request", "crishim.image.registries"),  # of pulls
        *(
            "isal",
            "crishim.image.unpack.zstd",
            "crishim.image.unpack.unpacker",
            "crishim.image.archive.load",
        ),  # of new layers
        *("crishim.streaming.http", "crishim.streaming.spdy.connection"),
        *("pyroute2", "yaml", "cni_runtime.plugins.bridge"),  # of bandwidth limits, source routing and CDI
        *("typer", "crishim.explain.source", "crishim.testing", "difflib", "importlib.resources"),
    ],
)
def test_is_imported_with_its_first_use(imported: frozenset[str], module: str) -> None:
    assert find_spec(module)
    assert module not in imported
