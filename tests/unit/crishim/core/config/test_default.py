from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from crishim.core.config import Config, Loaded, default_toml
from crishim.core.config.check import keys_of
from crishim.core.config.read import SECTIONS

NAMES = {
    "runtime": ("plugins", "io.containerd.cri.v1.runtime"),
    "images": ("plugins", "io.containerd.cri.v1.images"),
    "server": ("plugins", "io.containerd.grpc.v1.cri"),
    "crishim": ("crishim",),
}


def honoured(schema: type[Struct], place: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The places of all honoured keys; the handler that stands for all is runc. Registry hosts have no default."""
    for name, key in keys_of(schema).items():
        if key.table:
            yield from honoured(key.table, (*place, name))
        elif name == "configs":
            yield (*place, name)
        elif key.entries:
            yield from honoured(key.entries, (*place, name, "runc"))
        elif key.unused is None:
            yield (*place, name)


def present(tree: Mapping[str, Any], place: tuple[str, ...]) -> bool:
    for name in place:
        if name not in tree:
            return False
        tree = tree[name]
    return True


def test_it_is_the_default_without_a_warning(load: Callable[[str], Loaded]) -> None:
    loaded = load(default_toml())
    assert (loaded.config, loaded.warnings) == (Config(), ())


def test_it_has_every_key_that_is_honoured() -> None:
    tree = tomllib.loads(default_toml())
    places = [place for section, schema in SECTIONS.items() for place in honoured(schema, NAMES[section])]
    assert [place for place in places if not present(tree, place)] == []
    assert len(places) >= 40
