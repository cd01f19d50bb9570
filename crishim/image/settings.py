"""What the image domain is told at start: limits, time-outs, credentials. The composition root fills it in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field

GIB = 1 << 30
MIB = 1 << 20


class Limits(Struct, frozen=True, kw_only=True):
    """How large an image may be. Bytes unless the name says otherwise."""

    max_document_bytes: int = 4 * MIB
    max_layers: int = 500
    max_image_bytes: int = 64 * GIB
    max_unpacked_bytes: int = 128 * GIB
    max_entries: int = 5_000_000


class Credentials(Struct, frozen=True):
    """What a registry may be shown: a user and password, or one of two kinds of token."""

    username: str = ""
    password: str = field(default="")
    identity_token: str = ""
    registry_token: str = ""

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r})"


class ImageSettings(Struct, frozen=True, kw_only=True):
    """Everything configurable about images. Times are seconds.

    ``config_path`` lists the directories with ``HOST/hosts.toml``; ``credentials`` maps a registry host to what the
    configuration file says for it; ``pinned`` are image names in normal form. No more than
    ``max_concurrent_downloads`` layers of one image are downloaded at once (0 or less: all of them); what no image
    needs is kept for ``garbage_grace``, for a pull that comes again, and looked for every ``collect_every``.
    """

    root: Path
    config_path: tuple[Path, ...] = ()
    credentials: Mapping[str, Credentials] = field(default_factory=dict)
    limits: Limits = Limits()
    max_concurrent_downloads: int = 3
    max_concurrent_unpacks: int = 2
    progress_timeout: float = 300.0
    garbage_grace: float = 3600.0
    collect_every: float = 600.0
    discard_unpacked_layers: bool = False
    pinned: tuple[str, ...] = ()
