"""AppArmor profiles: which one, and when none can be had."""

import pytest
from msgspec.structs import replace

from crishim.container.spec.apparmor import DEFAULT_PROFILE, apparmor_profile
from crishim.core.errors import InvalidArgumentError
from crishim.model.pod import ProfileType, SecurityProfile
from tests.unit.crishim.container.spec.parts import HOST, secured

ON = replace(HOST, apparmor=True, apparmor_profiles=frozenset({DEFAULT_PROFILE, "mine"}))
WITHOUT_DEFAULT = replace(ON, apparmor_profiles=frozenset({"mine"}))
RUNTIME_DEFAULT = SecurityProfile(ProfileType.RUNTIME_DEFAULT)
UNCONFINED = SecurityProfile(ProfileType.UNCONFINED)
MINE = SecurityProfile(ProfileType.LOCALHOST, "mine")


@pytest.mark.parametrize(
    ("asked", "privileged", "expected"),
    [
        (None, False, DEFAULT_PROFILE),
        (None, True, ""),
        (RUNTIME_DEFAULT, False, DEFAULT_PROFILE),
        (RUNTIME_DEFAULT, True, ""),
        (UNCONFINED, False, ""),
        (MINE, False, "mine"),
        (MINE, True, "mine"),
        (SecurityProfile(ProfileType.LOCALHOST, "localhost/mine"), False, "mine"),
    ],
)
def test_which(asked: SecurityProfile | None, privileged: bool, expected: str) -> None:
    assert apparmor_profile(secured(apparmor=asked, privileged=privileged), ON) == expected


@pytest.mark.parametrize("asked", [None, RUNTIME_DEFAULT, UNCONFINED])
def test_without_apparmor(asked: SecurityProfile | None) -> None:
    assert apparmor_profile(secured(apparmor=asked), HOST) == ""


def test_a_default_that_is_not_loaded_is_not_forced_on_anyone() -> None:
    assert apparmor_profile(secured(), WITHOUT_DEFAULT) == ""


@pytest.mark.parametrize(
    ("asked", "host", "message"),
    [
        (MINE, HOST, "security_context.apparmor: AppArmor is off on this node"),
        (RUNTIME_DEFAULT, WITHOUT_DEFAULT, "crishim-default is not loaded"),
        (SecurityProfile(ProfileType.LOCALHOST, "x"), ON, "apparmor.localhost_ref: expected the name of a loaded"),
    ],
)
def test_refused(asked: SecurityProfile, host: object, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        apparmor_profile(secured(apparmor=asked), host)  # type: ignore[arg-type]
