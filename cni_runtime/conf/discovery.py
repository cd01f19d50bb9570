"""discovery"""
from __future__ import annotations

from pathlib import Path

from cni_runtime.conf.types import ConfDir


def load_conf_dir(directory: Path, max_num: int = 0) -> ConfDir:
    raise NotImplementedError
