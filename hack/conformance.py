"""Runs Kubernetes' conformance specs of nodes on a cluster of two, one on crun and one on runc: [FOCUS [SKIP]]

Ends with the suite's summary and status. Its output and the ends of the nodes' logs are left in .build/conformance.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from cni_runtime.testing.throwaway import run_on_throwaway_host
from crishim.testing.images import write_oci_archive
from hack.images.catalog import node_suite
from tests.lab.cluster import PROGRAMS, Cluster

KEPT = Path(__file__).resolve().parents[1] / ".build/conformance"
_REGISTRY = "suite.test"  # never asked: the nodes have all images
_AT_ONCE = 16  # most of a spec is waiting
_FOCUS = r"\[NodeConformance\]"
# Debian's busybox hands variables on only if a shell can have their names; the kernel of many machines has no dummy
# device; the last ones want a name service.
_SKIP = r"\[Serial\]|\[Disruptive\]|\[Slow\]|consumable via the environment|enable privileged commands|DNS"


def run(home: Path, focus: str, skip: str) -> bytes:
    """One run of the suite; its exit status. ``home`` is a directory that hosts see alike."""
    archive, registries, log = home / "images.tar", home / "registries.yaml", KEPT / "log"
    write_oci_archive(archive, node_suite(_REGISTRY, PROGRAMS / "agnhost"))
    registries.write_text(json.dumps({"gcRegistry": _REGISTRY, "promoterE2eRegistry": f"{_REGISTRY}/e2e-test-images"}))
    cluster = Cluster(home)
    try:
        cluster.start()
        for name, runtime in (("a", "crun"), ("b", "runc")):
            cluster.add_node(name, runtime)
            cluster.nodes[-1].ask(f"load {archive}")
        ginkgo = (f"--procs={_AT_ONCE}", "--no-color", "--succinct", f"--focus={focus}", f"--skip={skip}")
        suite = ("--provider=skeleton", f"--kubeconfig={cluster.kubeconfig}", f"--report-dir={KEPT}")
        environment = {**os.environ, "KUBE_TEST_REPO_LIST": str(registries)}
        with log.open("wb") as output:
            argv: list[str | Path] = [PROGRAMS / "ginkgo", *ginkgo, PROGRAMS / "e2e.test", "--", *suite]
            done = subprocess.run(argv, stdout=output, stderr=output, env=environment, cwd=KEPT, check=False)
        for number, node in enumerate(cluster.nodes):
            (KEPT / f"node{number}.log").write_text(node.ask("tail"))
    finally:
        cluster.stop()
    print("\n".join(log.read_text(errors="replace").splitlines()[-40:]))
    return bytes([done.returncode & 0xFF])


def _main(focus: str = _FOCUS, skip: str = _SKIP) -> int:
    KEPT.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as home:
        return run_on_throwaway_host(lambda: run(Path(home), focus, skip))[0]


if __name__ == "__main__":
    if len(sys.argv) > 3:
        sys.exit(__doc__)
    sys.exit(_main(*sys.argv[1:]))
