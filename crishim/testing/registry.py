"""A registry in memory that speaks the distribution protocol, well or as badly as a test wants."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import unused_port

from crishim.image.digest import Digest
from crishim.testing.images import Image

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
"""Looks at a request first: an answer of its own, or None to let the registry answer."""


@dataclass
class FakeRegistry:
    """What it serves, what it wants to see, and what it was asked."""

    port: int = field(default_factory=unused_port)
    address: str = "127.0.0.1"
    tags: dict[tuple[str, str], Image] = field(default_factory=dict)
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    manifests: dict[Digest, Image] = field(default_factory=dict)
    fault: Fault | None = None
    basic: tuple[str, str] | None = None
    token: str | None = None
    token_answer: bytes | None = None
    token_elsewhere: str | None = None
    requests: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def host(self) -> str:
        """Host and port, as they stand in an image name."""
        return f"{self.address}:{self.port}"

    def add(self, repository: str, tag: str, image: Image) -> str:
        """Serve ``image``; returns the name to pull."""
        self.tags[repository, tag] = image
        self.manifests[image.digest] = image
        self.blobs.update(image.blobs)
        return f"{self.host}/{repository}:{tag}"

    def count(self, method: str, part: str) -> int:
        """How many requests had ``part`` in their path."""
        return sum(1 for known, path in self.requests if known == method and part in path)

    @asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[FakeRegistry]:
        """Answer on ``port`` while the body runs, over TLS with ``tls``."""
        application = web.Application()
        application.router.add_get("/v2/", self._base)
        application.router.add_get("/token", self._token)
        application.router.add_post("/token", self._token)
        application.router.add_route("*", "/v2/{name:.+}/{kind:manifests|blobs}/{reference}", self._answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.address, self.port, ssl_context=tls).start()
            yield self
        finally:
            await runner.cleanup()

    def _note(self, request: web.Request) -> None:
        self.requests.append((request.method, request.path_qs))
        self.headers.append({name: ", ".join(request.headers.getall(name)) for name in request.headers})

    async def _base(self, request: web.Request) -> web.Response:
        """What other clients than ours ask first."""
        return self._refuse(request) or web.json_response({})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        if self.fault is not None and (answer := await self.fault(request)) is not None:
            return answer
        if (refusal := self._refuse(request)) is not None:
            return refusal
        name, reference = request.match_info["name"], request.match_info["reference"]
        if request.match_info["kind"] == "manifests":
            return self._manifest(name, reference)
        blob = self.blobs.get(Digest(reference))
        return web.Response(status=404) if blob is None else _ranged(request, blob)

    def _manifest(self, name: str, reference: str) -> web.Response:
        image = self.tags.get((name, reference)) or self.manifests.get(Digest(reference))
        if image is None:
            body = self.blobs.get(Digest(reference))
            return web.Response(status=404) if body is None else web.Response(body=body)
        headers = {"Docker-Content-Digest": image.digest, "Content-Type": image.media_type}
        return web.Response(body=image.body, headers=headers)

    def _refuse(self, request: web.Request) -> web.Response | None:
        seen = request.headers.get("Authorization", "")
        if self.basic is not None and seen != _basic(*self.basic):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="test"'})
        if self.token is not None and seen != f"Bearer {self.token}":
            realm = f'Bearer realm="http://{self.host}/token",service="test",scope="repository:any:pull"'
            return web.Response(status=401, headers={"WWW-Authenticate": realm})
        return None

    async def _token(self, request: web.Request) -> web.Response:
        self._note(request)
        if self.token_elsewhere is not None:
            return web.Response(status=307, headers={"Location": self.token_elsewhere})
        if request.method == "POST":
            form = await request.post()
            if form.get("refresh_token") != "identity":
                return web.Response(status=401)
        if self.token_answer is not None:
            return web.Response(body=self.token_answer)
        return web.json_response({"token": self.token, "expires_in": 300})


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _ranged(request: web.Request, blob: bytes) -> web.Response:
    wanted = request.headers.get("Range", "")
    if not wanted:
        return web.Response(body=blob)
    start = int(wanted.removeprefix("bytes=").partition("-")[0])
    if start >= len(blob):
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(blob)}"})
    headers = {"Content-Range": f"bytes {start}-{len(blob) - 1}/{len(blob)}"}
    return web.Response(status=206, body=blob[start:], headers=headers)


async def broken_after(request: web.Request, blob: bytes, count: int, *, start: int = 0) -> web.StreamResponse:
    """Promise the whole blob from ``start``, send ``count`` bytes, and break the connection."""
    headers = {"Content-Length": str(len(blob) - start)}
    if start:
        headers["Content-Range"] = f"bytes {start}-{len(blob) - 1}/{len(blob)}"
    response = web.StreamResponse(status=206 if start else 200, headers=headers)
    await response.prepare(request)
    await response.write(blob[start : start + count])
    await asyncio.sleep(0.02)
    if request.transport is not None:
        request.transport.abort()
    return response
