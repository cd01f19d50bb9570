"""Flow control windows by themselves."""

from crishim.streaming.spdy.frames import MAX_WINDOW
from crishim.streaming.spdy.windows import ReceiveWindow, SendWindow


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
    window = ReceiveWindow(1000)
    assert [window.consume(499), window.consume(1), window.consume(499)] == [0, 500, 0]
