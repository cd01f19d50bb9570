"""How many files this process may have open, see RLIMIT_NOFILE in getrlimit(2).

systemd starts a service with 1024, and each container takes at least two for as long as it lives. The hard limit is
what the server may have if it asks.

What it starts inherits that. CNI plugins, OCI runtimes and monitors have few files open, so it does them no harm. It
could to a container: a descriptor above 1023 is too much for select(2), and some programs close, or make room for, all
that there could be. So a container is told to have what the server was started with: in its OCI configuration, which
is in time. To change the limit of a process that was just started would not be.
"""

from __future__ import annotations

import resource

import structlog

_log = structlog.get_logger()


def raise_open_files() -> tuple[int, int] | None:
    """Let this process open as many files as it may; the soft and the hard limit it had, None when they stay."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return None
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # fs.nr_open was set below the hard limit
        _log.warning("host.open_files_not_raised", soft=soft, hard=hard, error=str(error))
        return None
    return soft, hard
