"""Loads the profile that AppArmor's RuntimeDefault means, unless the node has it."""

from __future__ import annotations

from pathlib import Path

import structlog

from crishim.container.spec.apparmor import DEFAULT_PROFILE
from crishim.container.spec.apparmor_text import profile_text
from crishim.core.errors import CrishimError, explain
from crishim.drivers.apparmor import PARSER, known_abi, load_profile, written_profile
from crishim.drivers.host_facts import HostFacts
from crishim.drivers.preflight import NeededProfile

_log = structlog.get_logger(__name__)


async def open_apparmor(facts: HostFacts, state: Path, parser: str = PARSER) -> NeededProfile | None:
    """What Status is to look for, nothing without AppArmor.

    A profile that is loaded stays as it is, as an administrator may have made it, unless an earlier server has loaded
    another one of ours. A failure is no reason not to start, since containers can do without.
    """
    if not facts.apparmor:
        return None
    file, text = state / "apparmor-profile", profile_text(DEFAULT_PROFILE, await known_abi())
    if DEFAULT_PROFILE in facts.apparmor_profiles and await written_profile(file) in (None, text):
        return NeededProfile(DEFAULT_PROFILE)
    try:
        await load_profile(text, file, parser=parser)
    except CrishimError as error:
        problem = explain(error)
        _log.warning("apparmor.profile_not_loaded", profile=DEFAULT_PROFILE, error=problem)
        return NeededProfile(DEFAULT_PROFILE, problem)
    _log.info("apparmor.profile_loaded", profile=DEFAULT_PROFILE)
    return NeededProfile(DEFAULT_PROFILE)
