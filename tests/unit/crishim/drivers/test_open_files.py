from __future__ import annotations

import resource

from cni_runtime.testing.shortage import no_descriptors_left
from crishim.drivers.open_files import raise_open_files


def test_the_limit_is_raised_once_and_what_it_was_is_told() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with no_descriptors_left():
        assert raise_open_files() == (0, hard)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
        assert raise_open_files() is None
