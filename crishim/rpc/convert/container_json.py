"""``ContainerConfig`` as the JSON object that verbose statuses show: crictl can read it back as one.

Values of environment variables are text there, unlike in protobuf's own JSON: Kubernetes' Go types write and read
them so. What is no UTF-8 in one is replaced.
"""

from __future__ import annotations

import msgspec

from crishim.model.container import ContainerConfig
from crishim.rpc.convert.json_parts import Json, gather, leave_out_empty, rename, show_limits, show_security


def container_config_json(config: ContainerConfig) -> Json:
    """The whole configuration."""
    shown: Json = msgspec.to_builtins(config)
    if config.envs:
        shown["envs"] = [{"key": key, "value": text.decode(errors="replace")} for key, text in config.envs]
    if config.cdi_devices:
        shown["cdi_devices"] = [{"name": name} for name in config.cdi_devices]
    for mount in shown.get("mounts", ()):
        rename(mount, uid_mappings="uidMappings", gid_mappings="gidMappings")
    show_security(shown)
    capabilities = shown.get("security_context", {}).get("capabilities", {})
    rename(capabilities, add="add_capabilities", drop="drop_capabilities", add_ambient="add_ambient_capabilities")
    show_limits(shown, "resources")
    leave_out_empty(shown, "resources")
    gather(shown, "resources", "security_context")
    rename(shown, cdi_devices="CDI_devices")
    return shown
