"""Runs the CRI validation suite against crishim on a throw-away host, for hack/critest.

    crun|runc|runc-current [--systemd] [CRITEST ARGUMENT…]

With --systemd that makes the control groups, and the host is this machine itself: one to throw away, as of hack/vm.
Ends with what failed and what was skipped, and leaves the server's log and the suite's report in .build/critest.
"""

import shutil
import sys
from pathlib import Path

from cni_runtime.testing.throwaway import run_on_throwaway_host
from tests.lab.critest import RUNTIMES, outcome, run_suite, serving_containers

KEPT = Path(__file__).resolve().parents[1] / ".build/critest"


def run(runtime: str, arguments: list[str], *, systemd: bool) -> bytes:
    """One run of the suite; its exit status."""
    # Where the machine is one to throw away its disk may be used, whose ids older kernels can shift, too.
    with serving_containers(Path("/var/lib/critest" if systemd else "/run/critest"), runtime, systemd=systemd) as node:
        try:
            specs = run_suite(node.daemon.socket, KEPT / "report.json", *arguments)
        finally:
            shutil.copy(node.daemon.log, KEPT / "log")
    found = outcome(specs)
    for kind, reasons in (("failed", found.failed), ("skipped", found.skipped)):
        for name, reason in sorted(reasons.items()):
            print(f"{kind}: {name}: {reason.splitlines()[0]}")
    print(f"{runtime}: {len(found.passed)} passed, {len(found.failed)} failed, {len(found.skipped)} skipped")
    return bytes([bool(found.failed)])


if len(sys.argv) < 2 or sys.argv[1] not in RUNTIMES:
    sys.exit(__doc__)
KEPT.mkdir(parents=True, exist_ok=True)
_, chosen, *more = sys.argv
if more[:1] == ["--systemd"]:
    sys.exit(run(chosen, more[1:], systemd=True)[0])
sys.exit(run_on_throwaway_host(lambda: run(chosen, more, systemd=False))[0])
