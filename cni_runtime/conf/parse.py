"""From JSON text to a validated network list.

Every failure is a ConfigError that names the source, the path inside it, what was found and what was expected.
Source: CNI specification 1.1.0, section 1 "Network configuration format".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from cni_runtime import names
from cni_runtime.conf.types import NetworkList, PluginConf
from cni_runtime.errors import CniError, ConfigError
from cni_runtime.versions import negotiate

MAX_BYTES = 1 << 20
"""Largest configuration that is read, in bytes."""
MAX_DEPTH = 64
"""Deepest nesting of objects and lists that is accepted."""

_T = TypeVar("_T")
_JSON_NAMES = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}


def parse_network_list(data: bytes | str, source: str, *, single: bool = False) -> NetworkList:
    """The network in ``data``; ``source`` names it in errors. Raises ConfigError.

    With ``single``, ``data`` is the configuration of one plugin (the old .conf form), taken as a list of one.
    """
    network = parse_single(data, source) if single else parse_outline(data, source)
    return require_plugins(network)


def parse_outline(data: bytes | str, source: str) -> NetworkList:
    """A network list whose plugins may all lie in other files; see ``with_plugins``. Raises ConfigError."""
    obj = _decode(data, source)
    inlined_only = _flag(obj, "loadOnlyInlinedPlugins", source)
    if "plugins" not in obj and inlined_only:
        raise _error(source, "$.plugins", "nothing", "a list, because loadOnlyInlinedPlugins is true")
    if "plugins" in obj and not obj["plugins"]:
        raise _error(source, "$.plugins", _name(obj["plugins"]), "a list of at least one plugin")
    return NetworkList(
        name=_network_name(obj, source),
        cni_version=_version(obj, source),
        plugins=_plugins(obj, source),
        disable_check=_flag(obj, "disableCheck", source),
        disable_gc=_flag(obj, "disableGC", source),
        load_only_inlined=inlined_only,
        source=source,
        raw=data if isinstance(data, str) else data.decode(),
    )


def parse_single(data: bytes | str, source: str) -> NetworkList:
    """The configuration of one plugin as a network list. Raises ConfigError."""
    obj = _decode(data, source)
    plugin = _plugin(obj, "$", source)
    network = {"name": _network_name(obj, source), "cniVersion": _version(obj, source)}
    return NetworkList(
        name=network["name"],
        cni_version=network["cniVersion"],
        plugins=(plugin,),
        source=source,
        raw=_list_text({**network, "plugins": [obj]}, source),
    )


def parse_plugin(data: bytes | str, source: str) -> PluginConf:
    """One plugin's object, as in a network's directory of plugin files. Raises ConfigError."""
    return _plugin(_decode(data, source), "$", source)


def with_plugins(network: NetworkList, plugins: Sequence[PluginConf]) -> NetworkList:
    """``network`` with ``plugins`` behind its own, all of them in its ``raw`` text. Raises ConfigError: too large."""
    if not plugins:
        return network
    merged = (*network.plugins, *plugins)
    outline = msgspec.json.decode(network.raw)
    outline |= {"loadOnlyInlinedPlugins": True, "plugins": [plugin.raw for plugin in merged]}
    raw = _list_text(outline, network.source)
    return msgspec.structs.replace(network, plugins=merged, load_only_inlined=True, raw=raw)


def require_plugins(network: NetworkList) -> NetworkList:
    """``network`` itself when it has a plugin; raises ConfigError otherwise."""
    if not network.plugins:
        raise _error(network.source, "$.plugins", "nothing", "a list of at least one plugin")
    return network


def _decode(data: bytes | str, source: str) -> dict[str, Any]:
    _limit_size(data, source)
    try:
        obj = msgspec.json.decode(data)
    except RecursionError as exc:
        raise _too_deep(source) from exc
    except (ValueError, msgspec.MsgspecError) as exc:
        raise ConfigError(f"{source}: not JSON", details=str(exc)) from exc
    _limit_depth(obj, source)
    if not isinstance(obj, dict):
        raise _error(source, "$", _name(obj), "an object")
    return obj


def _list_text(obj: Mapping[str, Any], source: str) -> str:
    """JSON text that ``parse_outline`` accepts again."""
    _limit_depth(obj, source)
    text = msgspec.json.encode(obj).decode()
    _limit_size(text, source)
    return text


def _limit_size(data: bytes | str, source: str) -> None:
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{source}: larger than {MAX_BYTES} bytes")


def _limit_depth(obj: object, source: str) -> None:
    level = [obj]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return
    raise _too_deep(source)


def _children(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _plugins(obj: Mapping[str, Any], source: str) -> tuple[PluginConf, ...]:
    items = _get(obj, "plugins", list, "$", source) or []
    return tuple(_plugin(item, f"$.plugins[{index}]", source) for index, item in enumerate(items))


def _plugin(obj: object, where: str, source: str) -> PluginConf:
    if not isinstance(obj, dict):
        raise _error(source, where, _name(obj), "an object")
    kind = _get(obj, "type", str, where, source)
    if kind is None:
        raise _error(source, f"{where}.type", "nothing", "the name of a plugin")
    return PluginConf(
        type=_checked(names.plugin_type, kind, f"{where}.type", source),
        raw=obj,
        capabilities=_capabilities(obj, where, source),
    )


def _capabilities(obj: Mapping[str, Any], where: str, source: str) -> frozenset[str]:
    declared = _get(obj, "capabilities", dict, where, source) or {}
    for name, supported in declared.items():
        if not isinstance(supported, bool):
            raise _error(source, f"{where}.capabilities[{name[:80]!r}]", _name(supported), "true or false")
    return frozenset(name for name, supported in declared.items() if supported)


def _network_name(obj: Mapping[str, Any], source: str) -> str:
    name = _get(obj, "name", str, "$", source)
    if name is None:
        raise _error(source, "$.name", "nothing", "the name of the network")
    return _checked(names.network_name, name, "$.name", source)


def _version(obj: Mapping[str, Any], source: str) -> str:
    version = _get(obj, "cniVersion", str, "$", source) or ""
    versions = _get(obj, "cniVersions", list, "$", source) or []
    for index, item in enumerate(versions):
        if not isinstance(item, str):
            raise _error(source, f"$.cniVersions[{index}]", _name(item), "a string")
    return _checked(lambda found: negotiate(found, versions), version, "$.cniVersion", source)


def _flag(obj: Mapping[str, Any], key: str, source: str) -> bool:
    value = obj.get(key, False)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise _error(source, f"$.{key}", _name(value), "true or false")
    return value


def _get(obj: Mapping[str, Any], key: str, kind: type[_T], where: str, source: str) -> _T | None:
    """The value of ``key``; None when it is not there or null."""
    value = obj.get(key)
    if value is not None and not isinstance(value, kind):
        raise _error(source, f"{where}.{key}", _name(value), _JSON_NAMES[kind])
    return value


def _checked(check: Callable[[str], str], value: str, where: str, source: str) -> str:
    try:
        return check(value)
    except CniError as exc:
        raise ConfigError(f"{source}: {where}: {exc}") from exc


def _name(value: object) -> str:
    named = _JSON_NAMES.get(type(value), "a number")
    return "an empty list" if value == [] else named


def _error(source: str, where: str, found: str, expected: str) -> ConfigError:
    return ConfigError(f"{source}: {where}: found {found}, expected {expected}")


def _too_deep(source: str) -> ConfigError:
    return ConfigError(f"{source}: nested deeper than {MAX_DEPTH} levels")
