"""Who is shown which credentials."""

from __future__ import annotations

import base64

import pytest

from crishim.core.errors import InvalidArgumentError
from crishim.image.credentials import RequestAuth, credentials_for
from crishim.image.settings import Credentials

CONFIGURED = {"reg.io": Credentials("config", "c")}


@pytest.mark.parametrize(
    ("auth", "host", "user"),
    [
        (None, "reg.io", "config"),
        (None, "other.io", None),
        (RequestAuth(), "reg.io", "config"),
        (RequestAuth(username="u", password="p"), "reg.io", "u"),
        (RequestAuth(username="u", password="p"), "mirror.io", "u"),
        (RequestAuth(username="u", server_address="reg.io"), "reg.io", "u"),
        (RequestAuth(username="u", server_address="https://reg.io/v2/"), "reg.io", "u"),
        (RequestAuth(username="u", server_address="https://other.io"), "reg.io", "config"),
        (RequestAuth(username="u", server_address="https://index.docker.io/v1/"), "registry-1.docker.io", "u"),
        (RequestAuth(auth=base64.b64encode(b"a:b:c\0").decode()), "x", "a"),
    ],
)
def test_choice(auth: RequestAuth | None, host: str, user: str | None) -> None:
    found = credentials_for(auth, CONFIGURED)(host)
    assert (found.username if found else None) == user


def test_the_password_may_have_a_colon() -> None:
    found = credentials_for(RequestAuth(auth=base64.b64encode(b"a:b:c\0").decode()), {})("x")
    assert found == Credentials("a", "b:c")


@pytest.mark.parametrize("auth", ["!", base64.b64encode(b"no colon").decode(), base64.b64encode(b"\xff:").decode()])
def test_auth_that_is_no_pair(auth: str) -> None:
    with pytest.raises(InvalidArgumentError, match="base64"):
        credentials_for(RequestAuth(auth=auth), {})


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr(RequestAuth(username="u", password="hush")) + repr(Credentials("u", "hush"))
