"""``conditionsV4`` and ``conditionsV6``: which packets a mapping is for, as part of a rule. Pure.

Conditions in nft's language are taken as they are. Those in the language of iptables are translated, as far as they
speak of addresses, interfaces, ports and marks; another one is refused, since leaving it out would open a port.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from cni_runtime.errors import ConfigError

_VALUE = re.compile(r"[A-Za-z0-9_.:/,+\-]+")
_NO_PART_OF_A_RULE = re.compile(r"[;#\n]")
# Extensions that only have to be named for their options to be known.
_EXTENSIONS = frozenset({"tcp", "udp", "sctp", "mark", "addrtype", "comment"})


def translate(conditions: tuple[str, ...], family: int) -> str:
    """The conditions in nft's language, for IP version ``family``. Raises ConfigError."""
    if is_iptables(conditions):
        return " ".join(_from_iptables(conditions, "ip" if family == 4 else "ip6"))
    text = " ".join(conditions).strip()
    if _NO_PART_OF_A_RULE.search(text):
        raise ConfigError(f"conditionsV{family}: this is more than a condition: {text[:80]!r}")
    return text


def is_iptables(conditions: tuple[str, ...]) -> bool:
    """Whether these are words of iptables: they begin with an option or its negation."""
    return bool(conditions) and conditions[0].startswith(("-", "!"))


def _from_iptables(words: tuple[str, ...], protocol: str) -> Iterator[str]:
    rest, negated = list(words), False
    while rest:
        option = rest.pop(0)
        if option == "!":
            negated = True
            continue
        if not rest or not (_VALUE.fullmatch(rest[0]) or option == "--comment"):
            raise ConfigError(f"conditions: expected a value for {option!r}")
        value = rest.pop(0)
        if option in ("-m", "--match") and value in _EXTENSIONS:
            continue
        if option == "--comment":
            continue
        if option not in _OPTIONS:
            raise ConfigError(f"conditions: {option} {value} cannot be translated, state it in nft's language")
        yield _OPTIONS[option](protocol, value, "!= " if negated else "")
        negated = False


def _address(field: str) -> Callable[[str, str, str], str]:
    return lambda protocol, value, no: f"{protocol} {field} {no}{_listed(value)}"


def _field(expression: str) -> Callable[[str, str, str], str]:
    return lambda protocol, value, no: f"{expression} {no}{_listed(value.replace(':', '-'))}"


def _interface(_protocol: str, value: str, no: str) -> str:
    return f'iifname {no}"{value[:-1]}*"' if value.endswith("+") else f'iifname {no}"{value}"'


def _type_of(address: str) -> Callable[[str, str, str], str]:
    return lambda protocol, value, no: f"fib {address} type {no}{_listed(value.lower())}"


def _mark(_protocol: str, value: str, no: str) -> str:
    mark, slash, mask = value.partition("/")
    return f"meta mark and {mask} {no or '== '}{mark}" if slash else f"meta mark {no}{mark}"


def _listed(value: str) -> str:
    return f"{{ {value.replace(',', ', ')} }}" if "," in value else value


_OPTIONS: dict[str, Callable[[str, str, str], str]] = {
    **dict.fromkeys(("-s", "--src", "--source"), _address("saddr")),
    **dict.fromkeys(("-d", "--dst", "--destination"), _address("daddr")),
    **dict.fromkeys(("-i", "--in-interface"), _interface),
    **dict.fromkeys(("-p", "--proto", "--protocol"), _field("meta l4proto")),
    **dict.fromkeys(("--sport", "--source-port"), _field("th sport")),
    **dict.fromkeys(("--dport", "--destination-port"), _field("th dport")),
    "--src-type": _type_of("saddr"),
    "--dst-type": _type_of("daddr"),
    "--mark": _mark,
}
