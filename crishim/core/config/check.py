"""Compares a table of a file with its declaration in tables.py. Pure.

The rule for what an operator gets to hear:

- a value of the wrong type or out of range is a ConfigError, whether the key is honoured or not;
- a key that is declared nowhere is a warning, with the nearest declared name;
- a key that is known but not honoured is a warning only when it is set to something else than a default of
  containerd's, so that a file full of defaults is quiet, and what was set on purpose is not lost in silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from crishim.core.config.tables import Unused
from crishim.core.errors import ConfigError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN = 60


class Place(Struct, frozen=True):
    """Where a value stands: the file (or other source) and the keys that lead to it."""

    source: str
    keys: tuple[str, ...] = ()

    def at(self, *keys: str) -> Place:
        """The place of ``keys`` below this one."""
        return Place(self.source, (*self.keys, *keys))

    @property
    def dotted(self) -> str:
        """The keys as one would write them in TOML."""
        return ".".join(key if _BARE_KEY.fullmatch(key) else json.dumps(key) for key in self.keys)

    def __str__(self) -> str:
        return f"{self.source}: {self.dotted}" if self.keys else self.source


class Key(Struct, frozen=True):
    """What tables.py declares for one key; ``table`` for a table, ``entries`` for a table of named tables."""

    hint: Any
    expected: str
    table: type[Struct] | None = None
    entries: type[Struct] | None = None
    unused: Unused | None = None


def wrong(place: Place, value: object, expected: str) -> ConfigError:
    """The error for a value that is not what was expected."""
    return ConfigError(f"{place}: found {shown(value)}, expected {expected}")


def shown(value: object) -> str:
    """A value of a TOML file as a message shows it: short, on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() > 64:
            return f"an integer of {value.bit_length()} bits"
        case dict():
            return "a table"
        case list():
            return f"a list of {len(value)}"
        case str():
            text = json.dumps(value[: _SHOWN + 1], ensure_ascii=False)
            return text if len(value) <= _SHOWN else f'{text[:_SHOWN]}…"'
        case _:
            return str(value)


@cache
def keys_of(schema: type[Struct]) -> Mapping[str, Key]:
    """The keys that a table of this kind may have, by their names in TOML."""
    hints = get_type_hints(schema, include_extras=True)
    return {field.encode_name: _declared(hints[field.name]) for field in msgspec.structs.fields(schema)}


def _declared(hint: Any) -> Key:
    base, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    unused = next((mark for mark in marks if isinstance(mark, Unused)), None)
    expected = next((mark.description for mark in marks if isinstance(mark, Meta) and mark.description), "a table")
    entry = get_args(base)[1] if get_origin(base) is dict else None
    return Key(hint, expected, _if_struct(base), _if_struct(entry), unused)


def _if_struct(hint: Any) -> type[Struct] | None:
    return hint if isinstance(hint, type) and issubclass(hint, Struct) else None


def check_table(schema: type[Struct], value: object, place: Place, warnings: list[str]) -> dict[str, Any]:
    """The declared keys of the table ``value``, which is at ``place``; what is not honoured goes to ``warnings``.

    Raises ConfigError for the first value that does not have its declared type.
    """
    if not isinstance(value, dict):
        raise wrong(place, value, "a table")
    declared: dict[str, Any] = {}
    for name, item in value.items():
        key = keys_of(schema).get(name)
        if key is None:
            warnings.append(_unknown(place.at(name), name, keys_of(schema)))
            continue
        declared[name] = _check_value(key, item, place.at(name), warnings)
        if key.unused is not None and _is_set(key.unused, item):
            warnings.append(_not_honoured(place.at(name), item, key.unused))
    return declared


def _check_value(key: Key, value: object, place: Place, warnings: list[str]) -> object:
    if key.table is not None:
        return check_table(key.table, value, place, warnings)
    if key.entries is not None:
        if not isinstance(value, dict):
            raise wrong(place, value, key.expected)
        return {name: check_table(key.entries, item, place.at(name), warnings) for name, item in value.items()}
    try:
        msgspec.convert(value, key.hint)
    except msgspec.ValidationError:
        raise wrong(place, value, key.expected) from None
    return value


def _unknown(place: Place, name: str, known: Mapping[str, Key]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  # a good configuration takes no memory for it

    honoured = [other for other, key in known.items() if key.unused is None]
    near = get_close_matches(name[:_SHOWN], honoured, n=1, cutoff=0.75)
    return f"{place}: unknown key, ignored" + (f"; did you mean {near[0]}?" if near else "")


def _not_honoured(place: Place, value: object, unused: Unused) -> str:
    return f"{place}: not honoured (found {shown(value)})" + (f"; {unused.hint}" if unused.hint else "")


def _is_set(unused: Unused, value: object) -> bool:
    return unused.silent is not None and _plain(value) not in unused.silent


def _plain(value: object) -> object:
    """The value as it would stand in ``Unused.silent``: lists as tuples, tables without what is not set."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, dict):
        return {name: plain for name, item in value.items() if (plain := _plain(item))}
    return value
