"""Digests: ``sha256:…`` names of content, and the running check of bytes against one.

Source: OCI image specification, "Descriptor", section "Digests".
"""

from __future__ import annotations

import hashlib
import re
from typing import NewType

from crishim.image.errors import ContentError

Digest = NewType("Digest", str)

_HEX_LENGTH = {"sha256": 64, "sha512": 128}
_PATTERN = re.compile(r"(sha256|sha512):([0-9a-f]+)")


def require_digest(text: str, what: str) -> None:
    """Raise ContentError, naming ``what`` it stands in, for another algorithm, length or alphabet."""
    if not is_digest(text):
        expected = "sha256: or sha512: and lower-case hexadecimal digits"
        raise ContentError(f"{what}: digest {text!r}: expected {expected}")


def is_digest(text: str) -> bool:
    """Whether ``text`` is a digest this program can check."""
    match = _PATTERN.fullmatch(text)
    return match is not None and len(match[2]) == _HEX_LENGTH[match[1]]


def algorithm(digest: Digest) -> str:
    """The part before the colon."""
    return digest.partition(":")[0]


def encoded(digest: Digest) -> str:
    """The hexadecimal part."""
    return digest.partition(":")[2]


def digest_of(content: bytes) -> Digest:
    """The sha256 digest of ``content``."""
    return Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")


class Verifier:
    """Takes the bytes of one blob and says at the end whether they were the right ones."""

    def __init__(self, digest: Digest, size: int | None) -> None:
        self.digest, self.size, self.received = digest, size, 0
        self._hash = hashlib.new(algorithm(digest))

    def update(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take ``chunk``; raises ContentError as soon as there are more bytes than the size says."""
        self.received += len(chunk)
        if self.size is not None and self.received > self.size:
            raise ContentError(f"blob {self.digest}: more than the {self.size} bytes its descriptor says")
        self._hash.update(chunk)

    def finish(self) -> None:
        """Raise ContentError when size or digest differ from what was promised."""
        if self.size is not None and self.received != self.size:
            raise ContentError(f"blob {self.digest}: {self.received} bytes, its descriptor says {self.size}")
        actual = f"{algorithm(self.digest)}:{self._hash.hexdigest()}"
        if actual != self.digest:
            raise ContentError(f"blob {self.digest}: the content has digest {actual}")


def check(content: bytes, digest: Digest, size: int | None = None) -> None:
    """Raise ContentError unless ``content`` has ``digest`` and ``size``."""
    verifier = Verifier(digest, size)
    verifier.update(content)
    verifier.finish()
