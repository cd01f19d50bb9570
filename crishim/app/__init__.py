"""The composition root: the only package that knows everyone. It builds the server, runs it, and takes it apart.

One module per domain builds that domain on its drivers; ``server`` puts them together in the order they need.
"""

from crishim.app.server import serve

__all__ = ["serve"]
