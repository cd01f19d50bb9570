"""``PodConfig`` as the JSON object that verbose statuses show under ``config``: a ``PodSandboxConfig``."""

from __future__ import annotations

import msgspec

from crishim.model.pod import PodConfig
from crishim.rpc.convert.json_parts import Json, gather, rename, show_limits, show_security


def pod_config_json(config: PodConfig) -> Json:
    """The whole configuration."""
    shown: Json = msgspec.to_builtins(config)
    show_security(shown)
    show_limits(shown, "overhead")
    show_limits(shown, "resources")
    gather(shown, "cgroup_parent", "security_context", "sysctls", "overhead", "resources")
    rename(shown, dns="dns_config")
    return shown
