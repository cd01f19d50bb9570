"""The environment of an executable plugin, as a pure function of the call.

Source: CNI specification 1.1.0, section 2 "Parameters".
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from cni_runtime.call import PluginCall
from cni_runtime.errors import CniError, ErrorCode

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What plugins and the tools they run (iptables, nft, ipset, D-Bus) look at. The rest stays out: a plugin must not
# depend on how this process was started, nor see what belongs to it alone (NOTIFY_SOCKET, LISTEN_FDS, secrets).
_INHERITED = frozenset(
    {"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "DBUS_SYSTEM_BUS_ADDRESS", "XTABLES_LIBDIR", "XTABLES_LOCKFILE"}
    | {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}
)


def plugin_environment(call: PluginCall, inherited: Mapping[str, str]) -> dict[str, str]:
    """The complete environment for ``call``; of ``inherited`` only the well-known variables are kept.

    Every CNI variable is set, those without a value to the empty string. Raises CniError (INVALID_ENVIRONMENT) when
    a value cannot be passed to a program.
    """
    kept = {name: value for name, value in inherited.items() if name in _INHERITED or name.startswith("LC_")}
    parameters = {
        "CNI_COMMAND": call.verb.value,
        "CNI_CONTAINERID": call.container_id,
        "CNI_NETNS": call.netns or "",
        "CNI_IFNAME": call.ifname,
        "CNI_ARGS": ";".join(f"{key}={value}" for key, value in call.args),
        "CNI_PATH": ":".join(str(directory) for directory in call.path),
    }
    for name, value in parameters.items():
        _require_passable(name, value)
    return {"PATH": _DEFAULT_PATH, **kept, **parameters}


def _require_passable(name: str, value: str) -> None:
    try:
        passable = b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        passable = False
    if not passable:
        raise CniError(
            f"{name} holds characters that no environment can: {value[:80]!r}", code=ErrorCode.INVALID_ENVIRONMENT
        )
