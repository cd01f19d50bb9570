"""Pulling from registries over HTTP. Imported with the first pull, see ``opening``."""

from __future__ import annotations

import asyncio

from crishim.image.credentials import RequestAuth, credentials_for
from crishim.image.progress import Progress, with_timeout
from crishim.image.pull import Pull
from crishim.image.reference import Reference
from crishim.image.registry.auth import Authorizer
from crishim.image.registry.client import RegistryClient
from crishim.image.registry.hosts import hosts_for
from crishim.image.registry.retry import Backoff
from crishim.image.registry.transport import Transport
from crishim.image.tools import ImageTools
from crishim.model.image import ImageRecord


class HttpRegistries:
    """Every registry, over the connections of ``transport``."""

    def __init__(self, transport: Transport, backoff: Backoff) -> None:
        self._transport, self._backoff = transport, backoff

    async def pull(
        self, tools: ImageTools, reference: Reference, auth: RequestAuth | None, progress: Progress
    ) -> ImageRecord:
        """See ``Registries``."""
        settings = tools.settings
        hosts = await asyncio.to_thread(hosts_for, reference.domain, settings.config_path)
        client = RegistryClient(
            self._transport,
            Authorizer(self._transport, credentials_for(auth, settings.credentials)),
            reference,
            hosts,
            backoff=self._backoff,
            max_document_bytes=settings.limits.max_document_bytes,
        )
        source = f"{reference.repository} {hash((auth, hosts))}"
        pull = Pull(tools, client, reference, progress, source)
        return await with_timeout(pull.run, progress, settings.progress_timeout, str(reference))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()


def open_registries() -> HttpRegistries:
    """All registries, as a server uses them; the caller closes them."""
    return HttpRegistries(Transport(), Backoff())
