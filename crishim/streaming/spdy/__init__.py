"""SPDY/3.1 by hand: frames, header compression, stream states, flow control; then one connection's streams.

Everything but ``mux`` is without I/O: bytes in, events and bytes out. Both roles are there, since tests need clients.

Source: SPDY Protocol, Draft 3.1. https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/
"""
