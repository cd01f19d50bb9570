"""Checks of single fields. ``path`` is how the message names the field: ``config.metadata.name``."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import TypeVar

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from crishim.core.errors import InvalidArgumentError, refusal

EnumT = TypeVar("EnumT", bound=IntEnum)


def required(path: str, text: str) -> str:
    """``text``, which must not be empty."""
    if not text:
        raise InvalidArgumentError(f"{path}: must not be empty")
    return text


def plain(path: str, text: str, forbidden: str = "") -> str:
    """``text``, which must hold neither control characters nor one of ``forbidden``."""
    if not text.isprintable() or not set(text).isdisjoint(forbidden):
        without = " ".join(["text without control characters", *forbidden])
        raise refusal(path, without, text)
    return text


def words(path: str, texts: Iterable[str]) -> tuple[str, ...]:
    """``texts``, each of which must be one word: not empty, without white space or control characters."""
    found = tuple(texts)
    for index, text in enumerate(found):
        if text.split() != [text] or not text.isprintable():
            raise refusal(f"{path}[{index}]", "one word", text)
    return found


def absolute(path: str, text: str) -> str:
    """``text``, which must be empty or an absolute path."""
    if text and not text.startswith("/"):
        raise refusal(path, "an absolute path", text)
    return text


def member(path: str, kind: type[EnumT], number: int) -> EnumT:
    """The member of ``kind`` with that number; proto3 lets any number through."""
    try:
        return kind(number)
    except ValueError:
        raise refusal(path, " or ".join(value.name for value in kind), number) from None


def number_of(path: str, kind: EnumTypeWrapper, number: int) -> int:
    """``number``, which must be one of the protobuf enumeration's."""
    if number not in kind.values():
        raise refusal(path, " or ".join(kind.keys()), number)
    return number
