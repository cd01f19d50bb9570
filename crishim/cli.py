"""The entry point of the ``crishim`` command.

A server keeps what it has imported, so what is there for people is not imported for it: it took a third of its memory.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command in the program's arguments."""
    if sys.argv[1:2] == ["serve"]:
        sys.modules["rich"] = None  # type: ignore[assignment]  # where it is not there, structlog does without it
        from crishim.cli_serve import serve_cri

        sys.exit(serve_cri(sys.argv[2:]))
    from crishim.cli_commands import app

    app()
