"""Whatever is in the file, loading it ends in a configuration or a ConfigError."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from crishim.core.config import Config, load_config
from crishim.core.config.check import keys_of
from crishim.core.config.read import SECTIONS
from crishim.core.config.tables import CniTable, ContainerdTable, CrishimCniTable, HandlerTable, OptionsTable
from crishim.core.errors import ConfigError

SCHEMAS = (*SECTIONS.values(), CniTable, ContainerdTable, CrishimCniTable, HandlerTable, OptionsTable)
KEYS = sorted({name for schema in SCHEMAS for name in keys_of(schema)})
TABLES = ("cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images")
SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text()
    | st.dates()
    | st.sampled_from(["/x", "1m", "runc", "auto", "0"])
)


def tables(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(KEYS) | st.text(), values, max_size=4)


VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | tables(inner), max_leaves=8)
PLUGINS = st.dictionaries(
    st.sampled_from(
        ["cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images"]
    ),
    tables(VALUES) | VALUES,
)
FILES = st.fixed_dictionaries(
    {},
    optional={
        "version": st.sampled_from([2, 3, 4]) | VALUES,
        "imports": VALUES,
        "plugins": PLUGINS | VALUES,
        "crishim": tables(VALUES) | VALUES,
    },
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config") / "config.toml"


@settings(deadline=None)
@given(FILES)
def test_toml(path: Path, tree: dict[str, Any]) -> None:
    path.write_bytes(tomli_w.dumps(tree).encode())
    with suppress(ConfigError):
        assert isinstance(load_config(path).config, Config)


@settings(deadline=None)
@given(st.binary() | st.text().map(str.encode))
def test_bytes(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with suppress(ConfigError):
        assert isinstance(load_config(path).config, Config)
