"""What tests need of the kernel, where Debian 12's own (Linux 6.1) lacks it."""

from __future__ import annotations

import platform

import pytest

KERNEL = tuple(map(int, platform.release().split(".")[:2]))

shifts_ids_in_memory = pytest.mark.skipif(
    KERNEL < (6, 3), reason="this kernel does not shift the ids of a tmpfs, which is where the images of tests lie"
)
