"""Decide whether a container can be made at all, before anything is touched. Pure."""

from __future__ import annotations

from crishim.container.spec.apparmor import apparmor_profile
from crishim.container.spec.capabilities import capabilities
from crishim.container.spec.cdi import cdi_devices
from crishim.container.spec.devices import check_devices
from crishim.container.spec.environment import requested_environment
from crishim.container.spec.fields import SECURITY
from crishim.container.spec.inputs import HostFacts
from crishim.container.spec.mounts import check_mounts
from crishim.container.spec.namespaces import check_namespaces
from crishim.container.spec.paths import check_guarded_paths
from crishim.container.spec.process import check_process, oom_score_adj
from crishim.container.spec.resources import check_resources
from crishim.container.spec.seccomp import check_seccomp
from crishim.container.spec.selinux import check_selinux
from crishim.container.spec.signals import stop_signal
from crishim.container.spec.user import check_user
from crishim.core.errors import InvalidArgumentError
from crishim.model.container import ContainerConfig
from crishim.model.sandbox import Sandbox


def check_config(config: ContainerConfig, sandbox: Sandbox, host: HostFacts) -> None:
    """Raise InvalidArgumentError naming the field that cannot be honoured, what was found and expected.

    Left to the making are the refusals that need the image: no command, an unknown user, a wrong stop signal.
    """
    security = config.security
    if security.privileged and not sandbox.config.security.privileged:
        raise InvalidArgumentError(f"{SECURITY}.privileged: is only possible in a pod whose sandbox is privileged")
    check_process(config)
    requested_environment(config)
    check_user(security)
    capabilities(security, host)
    check_namespaces(config, sandbox)
    check_mounts(config, host, sandbox.config.user_namespace)
    check_devices(config)
    cdi_devices(config)
    check_resources(config.resources, host)
    oom_score_adj(config, host)
    check_seccomp(security, host)
    apparmor_profile(config, host)
    check_selinux(config, sandbox, host)
    check_guarded_paths(security)
    stop_signal(config, {})
