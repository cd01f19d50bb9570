"""Flow control windows by themselves."""

from crishim.streaming.spdy.frames import MAX_WINDOW
from crishim.streaming.spdy.windows import INITIAL_WINDOW, ReceiveWindow, SendWindow


def test_spending_may_go_below_zero() -> None:
    window = SendWindow(10)
    window.spend(15)
    assert window.grow(8)
    assert window.size == 3


def test_a_window_has_a_largest_size() -> None:
    window = SendWindow(10)
    assert not window.grow(MAX_WINDOW - 9)
    assert window.size == 10


def test_reading_is_told_in_halves_of_a_window() -> None:
    window, half = ReceiveWindow(), INITIAL_WINDOW // 2
    assert [window.consume(half - 1), window.consume(1), window.consume(half - 1)] == [0, half, 0]
