"""How a part refuses a request: by naming the field, what it expected there and what it found."""

from __future__ import annotations

from collections.abc import Iterable

from crishim.core.errors import InvalidArgumentError

LINUX = "config.linux"
SECURITY = "config.linux.security_context"


def refusal(field: str, expected: str, found: object) -> InvalidArgumentError:
    """The error to raise for ``field``."""
    return InvalidArgumentError(f"{field}: expected {expected}; found {found!r}")


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
