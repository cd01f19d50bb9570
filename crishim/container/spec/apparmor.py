"""The AppArmor profile of a container, by name: the default one, or one that the node's administrator has loaded."""

from __future__ import annotations

from crishim.container.spec.fields import SECURITY
from crishim.container.spec.inputs import HostFacts
from crishim.core.errors import InvalidArgumentError, refusal
from crishim.model.container import ContainerConfig
from crishim.model.pod import ProfileType

DEFAULT_PROFILE = "crishim-default"
"""The profile that RuntimeDefault means; the server loads it at its start, if nobody has."""

_FIELD = f"{SECURITY}.apparmor"


def apparmor_profile(config: ContainerConfig, host: HostFacts) -> str:
    """The name of a loaded profile, empty for none.

    A container that says nothing gets the default profile where it is loaded. Raises InvalidArgumentError for a
    profile that the node does not have.
    """
    asked, privileged = config.security.apparmor, config.security.privileged
    if asked is None:
        return DEFAULT_PROFILE if DEFAULT_PROFILE in host.apparmor_profiles and not privileged else ""
    if asked.profile_type == ProfileType.LOCALHOST:
        if not host.apparmor:
            raise InvalidArgumentError(
                f"{_FIELD}: AppArmor is off on this node, or disable_apparmor is set; only Unconfined is possible"
            )
        return _loaded(asked.localhost_ref.removeprefix("localhost/"), host)
    wanted = asked.profile_type == ProfileType.RUNTIME_DEFAULT and host.apparmor and not privileged
    if wanted and DEFAULT_PROFILE not in host.apparmor_profiles:
        raise InvalidArgumentError(f"{_FIELD}: RuntimeDefault: {DEFAULT_PROFILE} is not loaded, see crictl info")
    return DEFAULT_PROFILE if wanted else ""


def _loaded(name: str, host: HostFacts) -> str:
    if name not in host.apparmor_profiles:
        raise refusal(f"{_FIELD}.localhost_ref", "the name of a loaded AppArmor profile", name)
    return name
