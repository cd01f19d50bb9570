"""DNS settings out of a resolv.conf. Pure. Source: resolv.conf(5)."""

from __future__ import annotations

from cni_runtime.result import DNS


def parse_resolv_conf(text: str) -> DNS:
    """Name servers, domain, search list and options; other lines and comments are passed over."""
    found: dict[str, list[str]] = {"nameserver": [], "domain": [], "search": [], "options": []}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] in found:
            found[words[0]] += words[1:] if words[0] in ("search", "options") else words[1:2]
    return DNS(
        nameservers=tuple(found["nameserver"]),
        domain=found["domain"][-1] if found["domain"] else "",
        search=tuple(found["search"]),
        options=tuple(found["options"]),
    )
