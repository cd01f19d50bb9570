"""Which proxy the environment names: HTTP_PROXY, HTTPS_PROXY and NO_PROXY as Go programs read them."""

from __future__ import annotations

import ipaddress
import urllib.request
from urllib.parse import urlsplit

from crishim.image.registry.hosts import is_loopback


def proxy_for(url: str) -> str | None:
    """The URL of the proxy for ``url``, None when there is none for it; never one for loopback."""
    parts, proxies = urlsplit(url), urllib.request.getproxies()
    if is_loopback(parts.netloc) or _is_in_range(parts.hostname or "", proxies.get("no", "")):
        return None
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    proxy = proxies.get(parts.scheme)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _is_in_range(host: str, no_proxy: str) -> bool:
    """Whether ``host`` is an address in one of the networks of NO_PROXY, which Python takes for names."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in map(_network, no_proxy.split(",")) if network is not None)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None
