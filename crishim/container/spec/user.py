"""Whom a container runs as: from the request or the image, by number or by a name that the image knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from crishim.container.spec.fields import SECURITY, check_text
from crishim.container.spec.image import execution_config
from crishim.container.spec.inputs import User
from crishim.core.errors import InvalidArgumentError, refusal
from crishim.model.container import ContainerConfig, ContainerSecurity
from crishim.model.ids import ID_MAX, is_id, number_of
from crishim.model.pod import GroupsPolicy


class _Account(Struct, frozen=True):
    name: str
    uid: int
    gid: int
    home: str


class _Group(Struct, frozen=True):
    name: str
    gid: int
    members: frozenset[str]


class _Asked(Struct, frozen=True):
    """User and group as texts, empty when nothing was said, and the fields they come from."""

    user: str
    group: str
    user_field: str
    group_field: str


def resolve_user(config: ContainerConfig, image_config: Mapping[str, Any], passwd: str, group: str) -> User:
    """Ids and groups of a container's processes; ``passwd`` and ``group`` are those files of the image.

    A user's groups in the image count, unless the policy is Strict. A number need not be in the image: its group is
    then 0. Raises InvalidArgumentError for a name that the image does not have, naming what was looked up where.
    """
    security = config.security
    asked = _asked(security, execution_config(image_config).user)
    account = _find_account(asked, _accounts(passwd))
    gid = _group_id(asked, _groups(group)) if asked.group else account.gid
    extra = set(security.supplemental_groups) | {gid}
    if account.name and security.supplemental_groups_policy is not GroupsPolicy.STRICT:
        extra |= {each.gid for each in _groups(group) if account.name in each.members and each.name != account.name}
    return User(account.uid, gid, tuple(sorted(extra)), account.home or "/")


def check_user(security: ContainerSecurity) -> None:
    """Refuse numbers that are no ids."""
    for name in ("run_as_user", "run_as_group"):
        value = getattr(security, name)
        if value is not None:
            _check_id(f"{SECURITY}.{name}", value)
    for index, gid in enumerate(security.supplemental_groups):
        _check_id(f"{SECURITY}.supplemental_groups[{index}]", gid)
    check_text(f"{SECURITY}.run_as_username", security.run_as_username)
    if security.run_as_group is not None and security.run_as_user is None and not security.run_as_username:
        message = "is only possible together with run_as_user or run_as_username"
        raise InvalidArgumentError(f"{SECURITY}.run_as_group: {message}")


def _asked(security: ContainerSecurity, image_user: str) -> _Asked:
    group = "" if security.run_as_group is None else str(security.run_as_group)
    if security.run_as_username:
        return _Asked(security.run_as_username, group, f"{SECURITY}.run_as_username", f"{SECURITY}.run_as_group")
    if security.run_as_user is not None:
        return _Asked(str(security.run_as_user), group, f"{SECURITY}.run_as_user", f"{SECURITY}.run_as_group")
    user, _, group = image_user.partition(":")
    return _Asked(user, group, "image: config.User", "image: config.User")


def _find_account(asked: _Asked, accounts: Iterable[_Account]) -> _Account:
    number = number_of(asked.user or "0")
    if number is not None:
        uid = _check_id(asked.user_field, number)
        return next((each for each in accounts if each.uid == uid), _Account("", uid, 0, ""))
    for account in accounts:
        if account.name == asked.user:
            return account
    raise InvalidArgumentError(f"{asked.user_field}: no user {asked.user!r} in /etc/passwd of the image")


def _group_id(asked: _Asked, groups: Iterable[_Group]) -> int:
    number = number_of(asked.group)
    if number is not None:
        return _check_id(asked.group_field, number)
    for group in groups:
        if group.name == asked.group:
            return group.gid
    raise InvalidArgumentError(f"{asked.group_field}: no group {asked.group!r} in /etc/group of the image")


def _check_id(field: str, number: int) -> int:
    if not is_id(number):
        raise refusal(field, f"0 to {ID_MAX}", number)
    return number


def _accounts(text: str) -> Iterator[_Account]:
    """The lines of passwd(5) that are whole: in a broken one no number can be trusted."""
    for fields in _lines(text, 6):
        if _is_id(fields[2]) and _is_id(fields[3]):
            home = fields[5] if fields[5].isprintable() else ""  # else it could not be passed on
            yield _Account(fields[0], int(fields[2]), int(fields[3]), home)


def _groups(text: str) -> Iterator[_Group]:
    """The lines of group(5) that are whole."""
    for fields in _lines(text, 3):
        if _is_id(fields[2]):
            yield _Group(fields[0], int(fields[2]), frozenset("".join(fields[3:4]).split(",")) - {""})


def _lines(text: str, least: int) -> Iterator[list[str]]:
    for line in text.split("\n"):
        fields = line.strip().split(":")
        if len(fields) >= least and fields[0] and not line.startswith("#"):
            yield fields


def _is_id(text: str) -> bool:
    number = number_of(text)
    return number is not None and is_id(number)
