"""Image references: ``[host[:port]/]path[:tag][@digest]``, and the short names people type.

Grammar and normalisation are those of the distribution project, which containerd, Docker and kubelet share:
``busybox`` is ``docker.io/library/busybox:latest``, ``index.docker.io`` is ``docker.io``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from crishim.core.errors import InvalidArgumentError
from crishim.image.digest import Digest, is_digest

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
MAX_NAME_LENGTH = 255

_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_REFERENCE = re.compile(
    rf"(?:(?P<domain>{_DOMAIN})/)?(?P<path>{_PATH})(?::(?P<tag>[\w][\w.-]{{0,127}}))?(?:@(?P<digest>[^@]+))?",
    re.ASCII,
)
_HEX_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Reference:
    """A parsed reference. At least one of ``tag`` and ``digest`` is set."""

    domain: str
    path: str
    tag: str | None = None
    digest: Digest | None = None

    @property
    def repository(self) -> str:
        """``domain/path``: what a tag or a digest is appended to."""
        return f"{self.domain}/{self.path}"

    @property
    def repo_tag(self) -> str | None:
        """The name with its tag; None when a digest pins the content, for then the tag says nothing."""
        return None if self.tag is None or self.digest is not None else f"{self.repository}:{self.tag}"

    def repo_digest(self, digest: Digest) -> str:
        """The name under which ``digest`` is known in this repository."""
        return f"{self.repository}@{digest}"

    @property
    def wanted(self) -> str:
        """What to ask the registry for: the digest when there is one, else the tag."""
        return self.digest or self.tag or DEFAULT_TAG

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        digest = f"@{self.digest}" if self.digest is not None else ""
        return f"{self.repository}{tag}{digest}"


def parse_reference(text: str) -> Reference:
    """``text`` in its normal form; raises InvalidArgumentError that says what is wrong with it."""
    if _HEX_ID.fullmatch(text):
        raise InvalidArgumentError(f"image reference {text!r}: 64 hexadecimal digits are an image id, not a name")
    domain, rest = _split_domain(text)
    match = _REFERENCE.fullmatch(f"{domain}/{rest}")
    if match is None:
        raise InvalidArgumentError(f"image reference {text!r}: {_complaint(text)}")
    tag, digest = match["tag"], match["digest"]
    if digest is not None and not is_digest(digest):
        raise InvalidArgumentError(f"image reference {text!r}: {digest!r} is not a sha256 or sha512 digest")
    if len(f"{match['domain']}/{match['path']}") > MAX_NAME_LENGTH:
        raise InvalidArgumentError(f"image reference {text[:64]!r}…: the name is longer than {MAX_NAME_LENGTH}")
    if tag is None and digest is None:
        tag = DEFAULT_TAG
    return Reference(match["domain"], match["path"], tag, None if digest is None else Digest(digest))


def _split_domain(text: str) -> tuple[str, str]:
    """The registry host and the rest. A first part without dot, colon or capital is a path, not a host."""
    first, slash, rest = text.partition("/")
    is_host = bool(slash) and (any(mark in first for mark in ".:[") or first == "localhost" or first.lower() != first)
    domain, rest = (first, rest) if is_host else (DEFAULT_DOMAIN, text)
    if domain == _LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in rest:
        rest = f"{_OFFICIAL}/{rest}"
    return domain, rest


def _complaint(text: str) -> str:
    name = text.partition("@")[0]
    if not name or name.startswith((":", "/")):
        return "the name is empty"
    if "://" in name:
        return "a reference has no scheme such as https://"
    if name.lower() != name and "/" not in name:
        return "the repository name must be lower case"
    return "expected [host[:port]/]path[:tag][@digest]"
