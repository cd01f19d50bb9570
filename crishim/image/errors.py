"""What can go wrong with images, beyond the errors everyone shares."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from crishim.core.errors import Code, CrishimError, InvalidArgumentError, UnavailableError


class RegistryError(UnavailableError):
    """A registry could not be reached or did not answer as the distribution specification says."""


class UnreachableError(RegistryError):
    """There is no answer from a registry host, or one that shows that it wants another protocol."""


class UnauthenticatedError(CrishimError):
    """The registry refuses the credentials, or wants some and was given none."""

    code = Code.UNAUTHENTICATED


class ContentError(CrishimError):
    """Bytes are not what their digest, size or media type says."""

    code = Code.FAILED_PRECONDITION


class LimitError(CrishimError):
    """An image is larger, in one of its measures, than the configuration allows."""

    code = Code.RESOURCE_EXHAUSTED


class StorageError(UnavailableError):
    """The disk that images are kept on is full, or fails."""


class LayerError(InvalidArgumentError):
    """A layer archive cannot be unpacked; the message names the entry."""


class ArchiveError(InvalidArgumentError):
    """A file that should be an image archive is not one."""


@contextmanager
def on_disk(what: str) -> Iterator[None]:
    """Turn an OSError from inside into a StorageError that says ``what`` was being done."""
    try:
        yield
    except OSError as exc:
        raise StorageError(f"{what}: {os.strerror(exc.errno) if exc.errno else exc}") from exc
