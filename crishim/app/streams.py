"""Builds the streaming server on the streams of real containers."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from crishim.app.containers import ContainerParts
from crishim.core.config import Config
from crishim.drivers.pod_socket import PodDialer
from crishim.sandbox.service import Sandboxes
from crishim.streaming.backends import Attachments, Commands
from crishim.streaming.ports import Backends
from crishim.streaming.server import serving_streams
from crishim.streaming.service import Streams


def open_streams(config: Config, parts: ContainerParts, sandboxes: Sandboxes) -> AbstractAsyncContextManager[Streams]:
    """Serves exec, attach and port-forward while it is open; yields what makes their URLs."""
    backends = Backends(
        exec=Commands(parts.execute, parts.oci),
        attach=Attachments(parts.execute, parts.oci),
        dialer=PodDialer(),
        containers=parts.containers,
        sandboxes=sandboxes,
    )
    return serving_streams(config.stream_server, backends)
