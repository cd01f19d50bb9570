"""Streaming: exec, attach and port-forward over SPDY and WebSocket. Not built yet."""
