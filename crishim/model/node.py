"""What the runtime says about itself and its network, as frozen values.

Source: CRI v1 ``StatusResponse`` and the messages below it (proto/runtime/v1/api.proto).
"""

from __future__ import annotations

from msgspec import Struct


class Condition(Struct, frozen=True):
    """Whether something is ready and, when it is not, why: one CamelCase word and one sentence."""

    ready: bool = True
    reason: str = ""
    message: str = ""


class RuntimeHandler(Struct, frozen=True):
    """A configured runtime handler and what it can do; name empty: the default one."""

    name: str
    recursive_read_only_mounts: bool = False
    user_namespaces: bool = False


class NodeFeatures(Struct, frozen=True):
    """What the runtime can do, whichever handler is used."""

    supplemental_groups_policy: bool = False
    user_namespaces_host_network: bool = False
    mount_options: bool = False


class NodeStatus(Struct, frozen=True, kw_only=True):
    """The runtime's two conditions, its handlers and its features."""

    runtime: Condition
    network: Condition
    handlers: tuple[RuntimeHandler, ...] = ()
    features: NodeFeatures = NodeFeatures()
