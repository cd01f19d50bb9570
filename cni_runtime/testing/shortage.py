"""A process that has run out of something, for the time of a body. Nothing is taken from other processes."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cni_runtime.net import threads

_STACK = 1 << 48  # bytes: more than a process can address


def open_descriptors() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


@contextmanager
def no_descriptors_left(but: int = 0) -> Iterator[None]:
    """Only ``but`` more descriptors can be had; those that are open stay so."""
    free = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC) for _ in range(but)]  # the kernel gives the lowest first
    for descriptor in free:
        os.close(descriptor)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(free, default=-1) + 1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def no_threads_left() -> Iterator[None]:
    """No thread can be started, and none of ``cni_runtime.net.threads`` waits for a job."""
    go_on = threading.Event()

    def wait() -> Callable[[], None]:
        go_on.wait()
        return lambda: None

    while threads.waiting():
        threads.start(wait)
    before = threading.stack_size(_STACK)
    try:
        yield
    finally:
        threading.stack_size(before)
        go_on.set()
