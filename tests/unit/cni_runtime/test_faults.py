"""Fault points: which one strikes, when, and what is written down."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cni_runtime import faults
from cni_runtime.faults import FaultInjectedError, arm, reach


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """Whatever a test asks for ends with it."""
    yield
    arm()


def test_an_unarmed_point_does_nothing() -> None:
    arm()
    reach("here")


@pytest.mark.parametrize(("fault", "passes"), [("here:raise", 0), ("here:raise:1", 0), ("here:raise:3", 2)])
def test_it_strikes_at_the_time_that_was_asked_for(fault: str, passes: int) -> None:
    arm(fault)
    for name in ["elsewhere", *["here"] * passes]:
        reach(name)
    with pytest.raises(FaultInjectedError, match="here"):
        reach("here")
    reach("here")


def test_every_point_is_logged_before_it_strikes(tmp_path: Path) -> None:
    arm("b:raise", str(tmp_path / "log"))
    reach("a")
    with pytest.raises(FaultInjectedError):
        reach("b")
    assert (tmp_path / "log").read_text() == "a\nb\n"


def test_the_environment_arms_a_process(tmp_path: Path) -> None:
    log = tmp_path / "log"
    env = {**os.environ, "CNI_RUNTIME_FAULT": "a:kill:2", "CNI_RUNTIME_FAULT_LOG": str(log)}
    program = f"import sys; sys.path.append({str(Path(faults.__file__).parents[1])!r})\n"
    program += "from cni_runtime.faults import reach\nfor name in 'abab': reach(name)"
    done = subprocess.run([sys.executable, "-c", program], env=env, check=False)
    assert (done.returncode, log.read_text()) == (-9, "a\nb\na\n")
