"""The rpcs that answer with a URL for a stream: exec, attach, port-forward."""

from __future__ import annotations

from crishim.core.errors import refusal
from crishim.model.stream import AttachStream, ExecStream, PortForwardStream
from crishim.rpc.convert.fields import required
from crishim.rpc.pb import api_pb2 as pb
from crishim.rpc.ports import StreamService
from crishim.rpc.registry import Handlers


class StreamHandlers:
    """URLs that serve once, for a short time."""

    def __init__(self, streams: StreamService) -> None:
        self._streams = streams

    def handlers(self) -> Handlers:
        """The rpcs handled here."""
        return {"Exec": self.exec, "Attach": self.attach, "PortForward": self.port_forward}

    async def exec(self, request: pb.ExecRequest) -> pb.ExecResponse:
        """A URL for running a command."""
        _check_streams(request)
        if not request.cmd:
            raise refusal("cmd", "a command", "nothing")
        stream = ExecStream(
            container_id=required("container_id", request.container_id),
            command=tuple(request.cmd),
            tty=request.tty,
            stdin=request.stdin,
            stdout=request.stdout,
            stderr=request.stderr,
        )
        return pb.ExecResponse(url=self._streams.exec(stream))

    async def attach(self, request: pb.AttachRequest) -> pb.AttachResponse:
        """A URL for the streams of a container's first process."""
        _check_streams(request)
        stream = AttachStream(
            container_id=required("container_id", request.container_id),
            tty=request.tty,
            stdin=request.stdin,
            stdout=request.stdout,
            stderr=request.stderr,
        )
        return pb.AttachResponse(url=self._streams.attach(stream))

    async def port_forward(self, request: pb.PortForwardRequest) -> pb.PortForwardResponse:
        """A URL for connections to ports of a pod."""
        for index, port in enumerate(request.port):
            if not 0 < port < 65536:
                raise refusal(f"port[{index}]", "1 to 65535", port)
        sandbox_id = required("pod_sandbox_id", request.pod_sandbox_id)
        stream = PortForwardStream(sandbox_id=sandbox_id, ports=tuple(request.port))
        return pb.PortForwardResponse(url=self._streams.port_forward(stream))


def _check_streams(request: pb.ExecRequest | pb.AttachRequest) -> None:
    """CRI wants at least one stream, and with a terminal only one for output."""
    if not (request.stdin or request.stdout or request.stderr):
        raise refusal("stdin, stdout, stderr", "at least one of them true", "none")
    if request.tty and request.stderr:
        raise refusal("stderr", "false when tty is true", "true")
