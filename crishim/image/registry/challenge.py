"""The WWW-Authenticate header of a registry's 401. Pure.

Source: RFC 9110, section 11.6.1; Docker registry token authentication, "How to authenticate".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CHALLENGE = re.compile(r"\s*(?P<scheme>[A-Za-z]+)\s+(?=[\w-]+=)|\s*(?P<bare>[A-Za-z]+)\s*(?:,|$)")
_PARAMETER = re.compile(r'\s*([\w-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*,?')


@dataclass(frozen=True)
class Challenge:
    """One way to authenticate that the server offers."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Every challenge in ``header``, in order; what cannot be understood is left out."""
    found, position = [], 0
    while match := _CHALLENGE.match(header, position):
        position = match.end()
        parameters: dict[str, str] = {}
        while match["scheme"] and (pair := _PARAMETER.match(header, position)):
            quoted = pair[2]
            parameters[pair[1].lower()] = pair[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            position = pair.end()
        known = {key: parameters.get(key, "") for key in ("realm", "service", "scope")}
        found.append(Challenge((match["scheme"] or match["bare"]).lower(), **known))
    return tuple(found)
