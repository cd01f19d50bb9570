"""The anonymous volumes of an image."""

from typing import Any

import pytest

from crishim.container.spec.volumes import image_volumes
from crishim.core.errors import InvalidArgumentError
from crishim.model.container import Mount
from tests.unit.crishim.container.spec.parts import asked

IMAGE: dict[str, Any] = {"Volumes": {"/var/data": {}, "cache": {}, "/var//data/": {}}}


def test_which() -> None:
    assert image_volumes(IMAGE, asked()) == ["/cache", "/var/data"]


@pytest.mark.parametrize("config", [{}, {"Volumes": None}])
def test_none(config: dict[str, object]) -> None:
    assert image_volumes(config, asked()) == []


def test_not_where_something_is_mounted() -> None:
    assert image_volumes(IMAGE, asked(mounts=(Mount("/cache/", "/x"),))) == ["/var/data"]


@pytest.mark.parametrize("path", ["/", "", "/..", "/a\0"])
def test_refused(path: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^image: config.Volumes"):
        image_volumes({"Volumes": {path: {}}}, asked())
