"""What gRPC is told by its environment has to mean something to the version that is installed."""

import subprocess
import sys

_SERVE = """
import crishim.rpc
from concurrent.futures import ThreadPoolExecutor
import grpc
server = grpc.server(ThreadPoolExecutor(1))
server.add_insecure_port("127.0.0.1:0")
server.start()
server.stop(None)
"""


def test_the_installed_version_knows_what_it_is_told() -> None:
    served = subprocess.run([sys.executable, "-c", _SERVE], capture_output=True, text=True, check=True, timeout=60)
    assert "experiment" not in served.stderr
