"""A plugin that hangs, babbles, fails, dies or is missing: the error names it, and nothing is lost or leaked."""

import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from crishim.rpc.pb import api_pb2 as pb
from tests.lab.conflists import CURRENT, bridge, conflist
from tests.lab.cri import connect, pod_config
from tests.lab.node import Node, eventually, refusal

# A chained plugin that passes the result on, unless the file beside it holds Python for the verb at hand.
PLUGIN = f"""#!{sys.executable} -IS
import json, os, pathlib, signal, sys, time
config = json.load(sys.stdin)
verb = os.environ["CNI_COMMAND"]
behaviour = pathlib.Path(__file__).with_name(verb)
if behaviour.exists():
    exec(behaviour.read_text())
elif verb == "ADD":
    print(json.dumps(config["prevResult"]))
elif verb == "VERSION":
    print(json.dumps({{"cniVersion": "1.1.0", "supportedVersions": ["1.0.0", "1.1.0"]}}))
"""
NETWORK = conflist("pods", bridge("cni0", "10.88.0.0/24"), {"type": "hostile"})
FAILURE = "print(json.dumps({'cniVersion': '1.1.0', 'code': 123, 'msg': 'I refuse'})); sys.exit(1)"
MISDEEDS = {
    "hangs": "time.sleep(600)",
    "hangs-deaf": "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
    "hangs-with-a-child": "os.fork(); time.sleep(600)",
    "garbage": "print('{]'); sys.exit(1)",
    "endless": "while True: print('x' * 65536)",
    "fails": FAILURE,
    "fails-silently": "sys.exit(1)",
    "fails-aloud": "sys.stderr.write('no such thing'); sys.exit(3)",
    "dies": "os.kill(os.getpid(), signal.SIGSEGV)",
}
ONLY_ADD = {"succeeds-with-garbage": "print('{]')", "succeeds-with-nothing": "pass", "lists": "print('[1]')"}


class Hostile:
    """The hostile plugin in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._file = directory / "hostile"
        self._file.write_text(PLUGIN)
        self._file.chmod(0o755)

    def misbehave(self, verb: str, code: str) -> None:
        """From now on run ``code`` for ``verb``."""
        (self.directory / verb).write_text(code)

    def repent(self) -> None:
        """Be a good plugin again."""
        for verb in ("ADD", "DEL"):
            (self.directory / verb).unlink(missing_ok=True)
        self._file.chmod(0o755)

    def vanish(self) -> None:
        """Be no executable any more."""
        self._file.chmod(stat.S_IRUSR)


@pytest.fixture
def hostile(node: Node, tmp_path: Path) -> Iterator[Hostile]:
    plugin = Hostile(tmp_path)
    # The others are built in, so that only the hostile one has little time.
    own = {"plugins": "auto", "plugin_timeout": "1s"}
    node.serve(NETWORK, bin_dirs=[tmp_path, CURRENT.directory], own=own)
    yield plugin
    plugin.repent()


def is_gone(node: Node) -> bool:
    """Whether no process of the plugin is left; what it had started was killed, and takes a moment to end."""
    return not any(process.endswith(" hostile") for process in node.host.processes())


@pytest.mark.parametrize("code", [*MISDEEDS.values(), *ONLY_ADD.values()], ids=[*MISDEEDS, *ONLY_ADD])
def test_add(node: Node, hostile: Hostile, code: str) -> None:
    hostile.misbehave("ADD", code)
    error = refusal(lambda: node.run_pod("web"))
    assert "hostile" in error.details()
    assert not node.cri.pods()
    assert not node.leftovers()
    assert eventually(lambda: is_gone(node))
    hostile.repent()
    node.remove_pod(node.run_pod("web"))


@pytest.mark.parametrize("code", MISDEEDS.values(), ids=MISDEEDS)
def test_del(node: Node, hostile: Hostile, code: str) -> None:
    pod = node.run_pod("web")
    hostile.misbehave("DEL", code)
    error = refusal(lambda: node.cri.stop(pod.id))
    assert "hostile" in error.details()
    assert [(each.id, each.state) for each in node.cri.pods()] == [(pod.id, pb.SANDBOX_NOTREADY)]
    assert eventually(lambda: is_gone(node))
    hostile.repent()
    node.remove_pod(pod)
    assert not node.leftovers()


@pytest.mark.parametrize("restart", [False, True], ids=["same-server", "restarted"])
def test_add_and_then_del_fail(node: Node, hostile: Hostile, restart: bool) -> None:
    hostile.misbehave("ADD", FAILURE)
    hostile.misbehave("DEL", FAILURE)
    refusal(lambda: node.run_pod("web"))
    (pod,) = node.cri.pods()
    assert pod.state == pb.SANDBOX_NOTREADY
    assert not node.unowned()
    if restart:
        node.restart()
        assert [each.id for each in node.cri.pods()] == [pod.id]
    hostile.repent()
    node.remove_pod(pod.id)
    assert not node.leftovers()


def test_missing(node: Node, hostile: Hostile) -> None:
    hostile.vanish()
    error = refusal(lambda: node.run_pod("web"))
    assert "hostile" in error.details()
    assert not node.unowned()
    hostile.repent()
    node.remove_pod(node.run_pod("web"))


def test_the_error_says_what_the_plugin_said(node: Node, hostile: Hostile) -> None:
    hostile.misbehave("ADD", MISDEEDS["fails"])
    assert "I refuse" in refusal(lambda: node.run_pod("web")).details()
    hostile.misbehave("ADD", MISDEEDS["fails-aloud"])
    assert "no such thing" in refusal(lambda: node.run_pod("web")).details()


def test_a_hanging_plugin_is_undone_after_its_caller_has_gone(node: Node, hostile: Hostile) -> None:
    hostile.misbehave("ADD", MISDEEDS["hangs"])
    with connect(node.daemon.socket, timeout=0.3) as hasty:
        assert refusal(lambda: hasty.run(pod_config("web"))).code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert eventually(lambda: not node.leftovers())


def test_killed_while_a_plugin_runs(node: Node, hostile: Hostile) -> None:
    """A plugin that goes on after the server has died must not undo what recovery has done."""
    hostile.misbehave("ADD", "time.sleep(0.5); print(json.dumps(config['prevResult']))")
    with connect(node.daemon.socket, timeout=0.3) as hasty:
        refusal(lambda: hasty.run(pod_config("web")))
    node.daemon.kill()
    node.restart()
    assert not node.unowned()
