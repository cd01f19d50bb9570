"""Checks of single fields of a request, and the names that those of several parts begin with."""

from __future__ import annotations

from collections.abc import Iterable

from crishim.core.errors import refusal

LINUX = "config.linux"
SECURITY = "config.linux.security_context"


def check_text(field: str, text: str) -> None:
    """Refuse a NUL, at which C would end the text."""
    if "\0" in text:
        raise refusal(field, "text without NUL", text)


def check_texts(field: str, texts: Iterable[str]) -> None:
    """The same for each of ``texts``."""
    for index, text in enumerate(texts):
        check_text(f"{field}[{index}]", text)


def check_path(field: str, path: str) -> None:
    """Refuse what is no absolute path."""
    check_text(field, path)
    if not path.startswith("/"):
        raise refusal(field, "an absolute path", path)
