"""The address of the server, as clients on the node are told it."""

import pytest

from crishim.core.config.types import StreamServer
from crishim.streaming.server import base_url

URLS = [
    (StreamServer(), ("127.0.0.1", 81), "http://127.0.0.1:81"),
    (StreamServer(address="::1"), ("::1", 81), "http://[::1]:81"),
    (StreamServer(address="node.example"), ("192.0.2.1", 81), "http://node.example:81"),
    (StreamServer(address="0.0.0.0"), ("0.0.0.0", 81), "http://127.0.0.1:81"),
    (StreamServer(address="::"), ("::", 81), "http://[::1]:81"),
    (StreamServer(address=""), ("127.0.0.1", 81), "http://127.0.0.1:81"),
    (StreamServer(tls=True), ("127.0.0.1", 81), "https://127.0.0.1:81"),
]


@pytest.mark.parametrize(("config", "bound", "url"), URLS)
def test_base_url(config: StreamServer, bound: tuple[str, int], url: str) -> None:
    assert base_url(config, bound) == url
