"""Options in another case than the documented one (``ipmasq``), which the reference plugins know as well. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from msgspec import Struct


def name_of(key: str, known: Collection[str]) -> str:
    """Which of the ``known`` names ``key`` is, or empty."""
    return key if key in known else next((one for one in known if one.casefold() == key.casefold()), "")


def spelled(value: Any, kind: Any) -> Any:
    """``value`` for ``msgspec.convert`` to ``kind``: objects with the names that ``kind`` has, and without nulls."""
    if get_origin(kind) is UnionType:
        kind = get_args(kind)[0]  # of X | None
    if isinstance(value, list) and get_args(kind):
        return [spelled(item, get_args(kind)[0]) for item in value]
    if isinstance(value, Mapping) and isinstance(kind, type) and issubclass(kind, Struct):
        kinds = _kinds(kind)
        named = ((name_of(key, kinds), item) for key, item in value.items() if item is not None)
        return {name: spelled(item, kinds[name]) for name, item in named if name}
    return value


@lru_cache
def _kinds(kind: type[Struct]) -> dict[str, Any]:
    """The types of the fields by their names in JSON."""
    hints = get_type_hints(kind)
    names = zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True)
    return {name: hints[attribute] for name, attribute in names}
