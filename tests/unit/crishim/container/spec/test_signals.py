"""Which signal asks a container to stop."""

import signal

import pytest

from crishim.container.spec.signals import SIGNALS, stop_signal
from crishim.container.stop import signal_number
from crishim.core.errors import InvalidArgumentError
from tests.unit.crishim.container.spec.parts import asked


@pytest.mark.parametrize(
    ("asked_for", "of_image", "expected"),
    [
        (0, "", "SIGTERM"),
        (0, "SIGQUIT", "SIGQUIT"),
        (0, "quit", "SIGQUIT"),
        (0, "3", "SIGQUIT"),
        (0, "SIGRTMIN+3", "SIGRTMIN+3"),
        (0, "rtmax-2", "SIGRTMAX-2"),
        (0, "37", "SIGRTMIN+3"),
        (0, "63", "SIGRTMAX-1"),
        (0, "64", "SIGRTMAX"),
        (11, "SIGQUIT", "SIGIO"),
        (38, "", "SIGRTMIN+3"),
        (65, "", "SIGRTMAX"),
    ],
)
def test_which(asked_for: int, of_image: str, expected: str) -> None:
    assert stop_signal(asked(stop_signal=asked_for), {"StopSignal": of_image}) == expected


@pytest.mark.parametrize("text", ["SIGNONE", "0", "65", "-1", "SIGRTMIN+16", "32", "SIG", "٣", "9" * 5000])
def test_no_such_signal(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^image: config.StopSignal: expected a signal"):
        stop_signal(asked(), {"StopSignal": text})


def test_no_such_number() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^config.stop_signal: expected a signal; found 66"):
        stop_signal(asked(stop_signal=66), {})


@pytest.mark.parametrize("number", range(1, signal.SIGRTMIN - 2))
def test_the_name_of_a_number_is_that_number(number: int) -> None:
    assert signal_number(stop_signal(asked(), {"StopSignal": str(number)})) == number


def test_each_name_can_be_sent() -> None:
    assert all(1 <= signal_number(name) <= 64 for name in SIGNALS[1:])
