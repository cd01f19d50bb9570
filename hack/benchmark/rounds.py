"""Rounds, in which those that are compared take turns: what slows the machine for a while is to slow all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def in_turns(rounds: int, those: Sequence[T]) -> Iterator[tuple[str, Sequence[T]]]:
    """What to call each round, and ``those`` in the order in which it is their turn."""
    for number in range(rounds):
        yield f"round {number + 1} of {rounds}", those if number % 2 else those[::-1]
