"""``crishim serve``."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

from crishim.core.config import DEFAULT_PATH, load_config
from crishim.core.errors import CrishimError
from crishim.core.logs import configure
from crishim.drivers.syscalls import keep_memory_small

# Of a thread's turn, while others wait. Most threads wait for the kernel; the one that does not, reading what a hundred
# containers use, must not hold up each answer by Python's five milliseconds.
_TURN_SECONDS = 0.0005


def serve_cri(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM; the exit status."""
    options = _parsed(arguments)
    keep_memory_small()
    sys.setswitchinterval(_TURN_SECONDS)
    # Imported here, as it starts threads, which get their share of memory when they first ask for some.
    from crishim.app import serve  # noqa: PLC0415

    config = options.pop("config")
    try:
        loaded = load_config(config, {name: str(path.absolute()) for name, path in options.items() if path})
        configure(loaded.config.log_level, loaded.config.log_format)
        for warning in loaded.warnings:
            structlog.get_logger(__name__).warning("config", warning=warning)
        asyncio.run(serve(loaded.config))
    except CrishimError as error:
        print(f"crishim: {error}", file=sys.stderr)
        return 1
    return 0


def _parsed(arguments: Sequence[str]) -> dict[str, Path | None]:
    """The options by name. What reads them is not kept in memory: it takes as much as half a pod."""
    import argparse  # noqa: PLC0415

    parser = argparse.ArgumentParser(
        "crishim serve", description="Serve the Container Runtime Interface until SIGTERM."
    )
    parser.add_argument("--config", "-c", type=Path, help=f"configuration file (default {DEFAULT_PATH})")
    parser.add_argument("--address", type=Path, help="unix socket of the server")
    parser.add_argument("--root", type=Path, help="directory for what a reboot must not lose")
    parser.add_argument("--state", type=Path, help="directory for what a reboot should forget")
    options = vars(parser.parse_args(arguments))
    del parser
    for name in ("argparse", "gettext"):
        sys.modules.pop(name, None)
    del argparse
    gc.collect()
    return options
