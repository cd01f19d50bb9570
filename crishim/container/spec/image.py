"""What the image says about running it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from crishim.container.spec.fields import check_text, check_texts
from crishim.core.errors import InvalidArgumentError
from crishim.image.types import ExecutionConfig


def execution_config(image_config: Mapping[str, Any]) -> ExecutionConfig:
    """The ``config`` object of an OCI image, typed; raises InvalidArgumentError when it is not one."""
    try:
        config = msgspec.convert(image_config, ExecutionConfig)
    except msgspec.ValidationError as error:
        raise InvalidArgumentError(f"image: config: {error}") from error
    for name, texts in (("Entrypoint", config.entrypoint), ("Cmd", config.cmd), ("Env", config.env)):
        check_texts(f"image: config.{name}", texts or ())
    check_text("image: config.WorkingDir", config.working_dir)
    return config
