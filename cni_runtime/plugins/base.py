"""What a built-in plugin is, and what it is given."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec
from msgspec import Struct

from cni_runtime.cache import DEFAULT_DIR
from cni_runtime.call import Invoker, PluginCall
from cni_runtime.errors import CniError, ConfigError, DecodeError, ErrorCode
from cni_runtime.net.libnftables import Nft
from cni_runtime.net.netfilter import Netfilter
from cni_runtime.net.nft import STATE, Owner
from cni_runtime.net.quiesce import Reaper
from cni_runtime.plugins.spelling import name_of, spelled
from cni_runtime.result import DNS, Interface, Result, decode_result
from cni_runtime.versions import CURRENT, at_least, version_of

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Struct)

# Keys that the runtime adds or that belong to every plugin.
_COMMON = frozenset(
    {"cniVersion", "cniVersions", "name", "type", "args", "capabilities", "runtimeConfig", "prevResult", "dns", "ipam"}
    | {"cni.dev/valid-attachments", "cni.dev/attachments"}
)


@dataclass(frozen=True)
class Context:
    """What plugins share: who runs delegated plugins, nftables, the reaper of veths, where state is, netfilter."""

    delegates: Invoker
    nft: Nft
    reaper: Reaper
    state: Path = STATE
    data: Path = DEFAULT_DIR
    netfilter: Netfilter = field(default_factory=Netfilter)
    _warned: set[tuple[str, str, str]] = field(default_factory=set)

    def unknown_option(self, call: PluginCall, key: str) -> None:
        """Warn of an option that the plugin does not know, once for each network."""
        entry = (call.type, network_of(call), key)
        if entry not in self._warned:
            self._warned.add(entry)
            log.warning("network %s: plugin %s does not know the option %r and ignores it", entry[1], call.type, key)


class Plugin(ABC):
    """A plugin type. Verbs raise CniError, or OSError when the kernel refused something.

    ADD undoes what it did when it fails, and reads its options in ``nothing_done_yet``. DEL succeeds for what is not
    there; it releases addresses last, so that one which failed half-way can be made again. It reads only the options
    that it needs (``decode_some``): the others may have become invalid since ADD.
    """

    type: ClassVar[str]

    @abstractmethod
    async def add(self, call: PluginCall, context: Context) -> Result:
        """Attach the container; the result of the chain so far."""

    @abstractmethod
    async def delete(self, call: PluginCall, context: Context) -> None:
        """Detach the container."""

    async def check(self, call: PluginCall, context: Context) -> None:  # noqa: B027  # an optional verb
        """Raise unless the container is as ADD left it. Nothing to check by default."""

    async def gc(self, call: PluginCall, context: Context) -> None:  # noqa: B027  # an optional verb
        """Take away what belongs to none of the valid attachments. Nothing to take by default."""

    async def status(self, call: PluginCall, context: Context) -> None:  # noqa: B027  # an optional verb
        """Raise when an ADD could not succeed. Ready by default."""


def decode(call: PluginCall, kind: type[T], context: Context) -> T:
    """The plugin's options as a ``kind``. Raises ConfigError with the path of what is wrong.

    See ``convert``: the reference plugins take options so.
    """
    return _decode(call, call.config, kind, context, _COMMON)


def decode_some(call: PluginCall, kind: type[T]) -> T:
    """Of the plugin's options those that ``kind`` has, whatever the others are. Raises ConfigError; see ``decode``."""
    return convert(call.config, kind, where_of(call))


class DataDir(Struct, frozen=True, rename="camel"):
    """For ``decode_some``: where a plugin keeps what DEL has to know. Empty: where it does so by default."""

    data_dir: str = ""


def decode_or_default(call: PluginCall, kind: type[T]) -> T:
    """For a DEL that can do without: as ``decode_some``, or the defaults when one has become invalid since ADD."""
    try:
        return decode_some(call, kind)
    except ConfigError as exc:
        log.warning("DEL goes by default options: %s", exc)
        return kind()


@contextmanager
def nothing_done_yet() -> Iterator[None]:
    """For what ADD begins with: a CniError out of the body says that nothing was done."""
    try:
        yield
    except CniError as exc:
        exc.nothing_done = True
        raise


def decode_ipam(call: PluginCall, kind: type[T], context: Context) -> T:
    """The options of an IPAM plugin, which stand in the object ``ipam``; see ``decode``."""
    return _decode(call, _ipam_options(call), kind, context, frozenset({"type"}))


def decode_some_ipam(call: PluginCall, kind: type[T]) -> T:
    """Of the options of an IPAM plugin those that ``kind`` has; see ``decode_some``."""
    return convert(_ipam_options(call), kind, where_of(call))


def _ipam_options(call: PluginCall) -> Mapping[str, Any]:
    options = _said(call.config, "ipam")
    if not isinstance(options, Mapping):
        raise ConfigError(f"network {network_of(call)}, plugin {call.type}: expected an object `$.ipam`")
    return options


def _decode(call: PluginCall, given: Mapping[str, Any], kind: type[T], context: Context, also: frozenset[str]) -> T:
    known = also.union(kind.__struct_encode_fields__)
    for key in given:
        if not name_of(key, known):
            context.unknown_option(call, key)
    return convert(given, kind, where_of(call))


def runtime_config(call: PluginCall, kind: type[T]) -> T:
    """``runtimeConfig``, the capability arguments, as a ``kind``; what it does not name is left alone. ConfigError."""
    return convert(_object(_said(call.config, "runtimeConfig")), kind, f"{where_of(call)}, runtimeConfig")


def cni_arguments(call: PluginCall, kind: type[T]) -> T:
    """``args.cni``, the arguments inside the configuration, as a ``kind``; see ``runtime_config``."""
    arguments = _said(_object(_said(call.config, "args")), "cni")
    return convert(_object(arguments), kind, f"{where_of(call)}, args.cni")


def _said(options: Mapping[str, Any], name: str) -> object:
    """The option of that name in any case, None when it is not said; the last one counts, as in ``convert``."""
    values = [value for key, value in options.items() if value is not None and name_of(key, (name,))]
    return values[-1] if values else None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def where_of(call: PluginCall) -> str:
    """How errors name the configuration of this call."""
    return f"network {network_of(call)}, plugin {call.type}"


def convert(options: Mapping[str, Any], kind: type[T], where: str) -> T:
    """``options`` as a ``kind``; raises ConfigError that names ``where`` and the path inside.

    Names are known in any case, others are left out, and null is "not said", also in objects inside.
    """
    try:
        return msgspec.convert(spelled(options, kind), kind)
    except (msgspec.ValidationError, RecursionError) as exc:
        raise ConfigError(f"{where}: {exc}") from exc


def network_of(call: PluginCall) -> str:
    """The network's name."""
    return str(call.config.get("name", ""))


def owner_of(call: PluginCall) -> Owner:
    """Whose packet filter elements those of this call are."""
    return Owner(network_of(call), call.container_id, call.ifname)


def argument(call: PluginCall, name: str) -> str:
    """The last value of that name out of ``CNI_ARGS``, or empty. Names differ from each other in more than case."""
    return next((value for key, value in reversed(call.args) if key.casefold() == name.casefold()), "")


def netns_of(call: PluginCall) -> str:
    """The path of the container's namespace; raises CniError when the call has none."""
    if not call.netns:
        message = f"{where_of(call)}: expected the container's network namespace, found none"
        raise CniError(message, code=ErrorCode.INVALID_ENVIRONMENT)
    return call.netns


def require_one_per_family(call: PluginCall, families: Sequence[int]) -> None:
    """Of each family CNI before 0.3.0 knows one address only. Raises ConfigError."""
    version = version_of(call.config)
    if len(families) > len(set(families)) and not at_least(version, "0.3.0"):
        raise ConfigError(f"{where_of(call)}: CNI version {version} does not know more than one address of a family")


def previous_of(call: PluginCall) -> Result | None:
    """The result of the chain so far, or None. Raises DecodeError."""
    previous = call.config.get("prevResult")
    return decode_result(previous, assume=version_of(call.config)) if previous else None


def require_previous(call: PluginCall) -> Result:
    """The result of the chain so far; raises ConfigError when there is none."""
    previous = previous_of(call)
    if previous is None:
        raise ConfigError(f"{where_of(call)}: expected a prevResult, found none")
    return previous


def pod_interface(call: PluginCall, previous: Result) -> Interface:
    """The interface in the pod as the chain's result has it; raises ConfigError when it does not."""
    netns = netns_of(call)
    for interface in previous.interfaces:
        if (interface.name, interface.sandbox) == (call.ifname, netns):
            return interface
    raise ConfigError(f"{where_of(call)}: prevResult does not have the interface {call.ifname} in {netns}")


class _ValidAttachment(Struct, rename={"container_id": "containerID"}):
    container_id: str
    ifname: str


def valid_attachments(call: PluginCall) -> frozenset[tuple[str, str]]:
    """The (container id, interface) pairs that GC must keep. Raises ConfigError: GC without a list must do nothing."""
    for key in ("cni.dev/valid-attachments", "cni.dev/attachments"):
        if key in call.config:
            listed = convert({"at": call.config[key] or []}, _Attachments, f"GC of network {network_of(call)}")
            return frozenset((item.container_id, item.ifname) for item in listed.at)
    raise ConfigError(f"GC of network {network_of(call)} without cni.dev/valid-attachments")


class _Attachments(Struct):
    at: list[_ValidAttachment]


def dns_or(call: PluginCall, otherwise: DNS) -> DNS:
    """The DNS settings of the network's configuration if it has any, else those of IPAM. Raises ConfigError."""
    own = result_part(call, dns=_said(call.config, "dns")).dns
    return otherwise if own == DNS() else own


def result_part(call: PluginCall, **part: object) -> Result:
    """Routes or DNS settings out of a configuration, which has them in the form of a result. Raises ConfigError."""
    try:
        return decode_result({"cniVersion": CURRENT, **{name: _in_lower_case(value) for name, value in part.items()}})
    except DecodeError as exc:
        raise ConfigError(where_of(call), details=exc.details) from exc


def _in_lower_case(value: object) -> object:
    """Routes and DNS settings with their names, which have no capitals."""
    if isinstance(value, Mapping):
        return {str(key).lower(): item for key, item in value.items()}
    return [_in_lower_case(item) for item in value] if isinstance(value, list | tuple) else value
