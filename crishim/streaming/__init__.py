"""Streaming: exec, attach and port-forward over SPDY and WebSocket, on an HTTP server of its own.

Here is what lies between an HTTP connection and the streams of a process or the port of a pod: tokens and URLs,
upgrades, framing, channels, and the copying in between. What starts processes and opens sockets is behind the
Protocols in ``ports``. Protocol state is pure (``spdy.connection`` and below it, ``remotecommand.status``); I/O is in
``pipe``, ``spdy.mux`` and whatever is named after a transport. gRPC is not known here.
"""
