"""Sizes of terminals, as clients send them: JSON objects with ``Width`` and ``Height``, one after the other."""

from __future__ import annotations

import json
from typing import NamedTuple

from crishim.core.errors import InvalidArgumentError

_LIMIT = 1024
"""Characters of an object that is not complete yet."""

_MAX = (1 << 16) - 1


class Size(NamedTuple):
    """Characters."""

    width: int
    height: int


class SizeDecoder:
    """Finds the objects in a stream of bytes, wherever it is cut."""

    def __init__(self) -> None:
        self._text = ""
        self._json = json.JSONDecoder()

    def feed(self, data: bytes) -> list[Size]:
        """The sizes that ``data`` completes. Raises InvalidArgumentError; nothing can be read after that."""
        self._text = (self._text + data.decode("latin-1")).lstrip()  # ASCII, or else refused below
        sizes, position = [], 0
        while position < len(self._text):
            try:
                value, position = self._json.raw_decode(self._text, position)
            except (ValueError, RecursionError):
                break
            sizes.append(_size(value))
            while self._text[position : position + 1].isspace():
                position += 1
        self._text = self._text[position:]
        if len(self._text) > _LIMIT:
            raise InvalidArgumentError(f"a terminal's size: expected a JSON object; found {self._text[:32]!r}…")
        return sizes


def _size(value: object) -> Size:
    if not isinstance(value, dict):
        raise InvalidArgumentError(f"a terminal's size: expected a JSON object; found {value!r}")
    numbers = {str(name).lower(): number for name, number in value.items()}
    return Size(_number(numbers.get("width", 0)), _number(numbers.get("height", 0)))


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MAX:
        raise InvalidArgumentError(f"a terminal's size: expected a number from 0 to {_MAX}; found {value!r}")
    return value
