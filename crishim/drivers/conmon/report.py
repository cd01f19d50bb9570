"""What conmon reports when the container is made or could not be: one line of JSON."""

from __future__ import annotations

import json

from crishim.core.errors import RuntimeFailedError


def parse_report(line: bytes) -> int:
    """The process id of the container's first process, above 1.

    Raises RuntimeFailedError with what the OCI runtime said, or with what is wrong with the report.
    """
    text = line.decode(errors="replace").strip()
    if not text:
        raise RuntimeFailedError("conmon ended without a report")
    try:
        report = json.loads(text, strict=False)  # conmon lets some control characters through
        pid = report["data"]
    except (ValueError, TypeError, KeyError):
        raise RuntimeFailedError(f"conmon's report was not understood: {text!r}") from None
    if type(pid) is not int:
        raise RuntimeFailedError(f"conmon's report was not understood: {text!r}")
    if pid < 0 and "message" in report:
        raise RuntimeFailedError(str(report["message"]).strip())
    if pid <= 1:
        raise RuntimeFailedError(f"the OCI runtime gave {pid} as the id of the container's first process")
    return pid
