"""The registry client against a registry in memory: authentication, mirrors, retries, resumption, lies."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from crishim.core.errors import NotFoundError
from crishim.image.credentials import RequestAuth, credentials_for
from crishim.image.digest import Digest, Verifier, digest_of
from crishim.image.errors import ContentError, LimitError, RegistryError, UnauthenticatedError
from crishim.image.progress import Step
from crishim.image.reference import parse_reference
from crishim.image.registry.auth import Authorizer
from crishim.image.registry.client import Document, RegistryClient
from crishim.image.registry.download import download
from crishim.image.registry.hosts import RegistryHost
from crishim.image.registry.retry import Backoff
from crishim.image.registry.transport import Transport
from crishim.testing.images import file, image
from crishim.testing.registry import FakeRegistry, broken_after

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(256)) * 12_000
BLOB = digest_of(CONTENT)
IMAGE = image([[file("a", b"1")]])


class Memory:
    """A blob writer that keeps what it takes."""

    def __init__(self) -> None:
        self.data, self.restarts = bytearray(), 0
        self._verifier = Verifier(BLOB, len(CONTENT))

    @property
    def offset(self) -> int:
        return len(self.data)

    async def write(self, data: bytes) -> None:
        self._verifier.update(data)
        self.data += data

    async def restart(self) -> None:
        self.restarts += bool(self.data)
        self.data.clear()
        self._verifier = Verifier(BLOB, len(CONTENT))

    async def verify(self) -> None:
        self._verifier.finish()


@dataclass
class Lab:
    """One registry, a transport, and clients made on demand."""

    registry: FakeRegistry
    transport: Transport
    writer: Memory = field(default_factory=Memory)
    step: Step = field(default_factory=lambda: Step(BLOB, len(CONTENT)))

    def client(
        self, *hosts: RegistryHost, name: str = "reg.test/app:1", auth: RequestAuth | None = None, limit: int = 1 << 20
    ) -> RegistryClient:
        return RegistryClient(
            self.transport,
            Authorizer(self.transport, credentials_for(auth, {})),
            parse_reference(name),
            hosts or (self.host,),
            backoff=Backoff(attempts=3, first=0.001),
            max_document_bytes=limit,
        )

    @property
    def host(self) -> RegistryHost:
        return RegistryHost("http", self.registry.host)

    async def fetch(self, *hosts: RegistryHost) -> None:
        await download(self.client(*hosts), BLOB, len(CONTENT), self.writer, self.step)


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with FakeRegistry().serving() as registry, aclosing(Transport(read_timeout=0.5)) as transport:
        registry.add("app", "1", IMAGE)
        registry.blobs[BLOB] = CONTENT
        yield Lab(registry, transport)


@pytest.fixture
async def mirror() -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry().serving() as registry:
        yield registry


def _answers(status: int, times: int, **headers: str) -> Callable[[web.Request], object]:
    left = [times]

    async def fault(request: web.Request) -> web.StreamResponse | None:
        left[0] -= 1
        return web.Response(status=status, headers=headers) if left[0] >= 0 else None

    return fault


async def test_a_tag_is_resolved_by_head_and_the_manifest_fetched_by_digest(lab: Lab) -> None:
    client = lab.client()
    digest = await client.resolve()
    assert digest == IMAGE.digest
    document = await client.document("manifests", IMAGE.digest, len(IMAGE.body))
    assert document == Document(IMAGE.body, IMAGE.digest)
    assert [method for method, _ in lab.registry.requests] == ["HEAD", "GET"]


async def test_a_registry_that_does_not_tell_digests(lab: Lab) -> None:
    async def fault(request: web.Request) -> web.Response:
        return web.Response(body=IMAGE.body)

    lab.registry.fault = fault
    assert await lab.client().resolve() == Document(IMAGE.body, IMAGE.digest)


async def test_a_registry_that_does_not_take_head(lab: Lab) -> None:
    async def fault(request: web.Request) -> web.Response | None:
        return web.Response(status=405) if request.method == "HEAD" else None

    lab.registry.fault = fault
    assert await lab.client().resolve() == Document(IMAGE.body, IMAGE.digest)
    lab.registry.basic = ("u", "p")
    with pytest.raises(UnauthenticatedError):
        await lab.client(name=f"reg.test/app@{IMAGE.digest}").confirm()


async def test_a_proxy_without_a_scheme(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", lab.registry.host)
    assert await lab.client(RegistryHost("http", "reg.test")).resolve() == IMAGE.digest


async def test_a_digest_needs_no_resolving(lab: Lab) -> None:
    assert await lab.client(name=f"reg.test/app@{IMAGE.digest}").resolve() == IMAGE.digest
    assert lab.registry.requests == []


async def test_a_mirror_is_told_what_it_stands_for(lab: Lab) -> None:
    await lab.client().resolve()
    assert lab.registry.requests[0][1].endswith("?ns=reg.test")


@pytest.mark.parametrize(
    ("auth", "works"),
    [(None, False), (RequestAuth(username="u", password="p"), True), (RequestAuth(username="u", password="x"), False)],
)
async def test_basic_authentication(lab: Lab, auth: RequestAuth | None, *, works: bool) -> None:
    lab.registry.basic = ("u", "p")
    if works:
        assert await lab.client(auth=auth).resolve() == IMAGE.digest
        return
    with pytest.raises(UnauthenticatedError, match=r"wants credentials|401"):
        await lab.client(auth=auth).resolve()


async def test_headers_of_hosts_toml_may_have_several_values_and_ours_win(lab: Lab) -> None:
    lab.registry.basic = ("u", "p")
    extra = (("X-Key", "a"), ("X-Key", "b"), ("authorization", "none"))
    host = RegistryHost("http", lab.registry.host, headers=extra)
    await lab.client(host, auth=RequestAuth(username="u", password="p")).resolve()
    assert [headers["X-Key"] for headers in lab.registry.headers] == ["a, b", "a, b"]
    sent = [[headers[name] for name in headers if name.lower() == "authorization"] for headers in lab.registry.headers]
    assert sent == [["none"], ["Basic dTpw"]]


@pytest.mark.parametrize(
    ("auth", "shown"),
    [
        (None, None),
        (RequestAuth(username="u", password="p"), "Basic dTpw"),
        (RequestAuth(identity_token="identity"), None),
    ],
    ids=["anonymous", "password", "identity"],
)
async def test_tokens_are_fetched_once(lab: Lab, auth: RequestAuth | None, shown: str | None) -> None:
    lab.registry.token = "t0ken"
    client = lab.client(auth=auth)
    await client.resolve()
    await client.document("manifests", IMAGE.digest)
    assert sum("/token" in path for _, path in lab.registry.requests) == 1
    assert lab.registry.headers[1].get("Authorization") == shown


async def test_a_registry_token_is_used_as_it_is(lab: Lab) -> None:
    lab.registry.token = "given"
    assert await lab.client(auth=RequestAuth(registry_token="given")).resolve() == IMAGE.digest
    assert lab.registry.count("GET", "/token") == 0


async def test_a_token_server_that_answers_with_too_deep_a_document(lab: Lab) -> None:
    lab.registry.token, lab.registry.token_answer = "t", b'{"a":' + b"[" * 30_000
    with pytest.raises(RegistryError, match="its answer is not a token"):
        await lab.client().resolve()


async def test_a_refused_identity_token(lab: Lab) -> None:
    lab.registry.token = "t"
    with pytest.raises(UnauthenticatedError, match="token server"):
        await lab.client(auth=RequestAuth(identity_token="wrong")).resolve()


async def test_an_identity_token_is_taken_to_no_other_host(lab: Lab, mirror: FakeRegistry) -> None:
    lab.registry.token = mirror.token = "t"
    lab.registry.token_elsewhere = f"http://{mirror.host}/token"
    with pytest.raises(RegistryError, match="not taken to"):
        await lab.client(auth=RequestAuth(identity_token="identity")).resolve()
    assert mirror.requests == []


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_temporary_failures_are_tried_again(lab: Lab, status: int) -> None:
    lab.registry.fault = _answers(status, 2, **{"Retry-After": "0"})  # type: ignore[assignment]
    assert await lab.client().resolve() == IMAGE.digest
    assert len(lab.registry.requests) == 3


async def test_but_not_forever(lab: Lab) -> None:
    lab.registry.fault = _answers(503, 99)  # type: ignore[assignment]
    with pytest.raises(RegistryError, match="503"):
        await lab.client().resolve()
    assert len(lab.registry.requests) == 3


async def test_what_is_not_there_is_not_asked_for_again(lab: Lab) -> None:
    with pytest.raises(NotFoundError, match="app manifests gone"):
        await lab.client(name="reg.test/app:gone").resolve()
    assert len(lab.registry.requests) == 1


async def test_a_mirror_that_is_down_is_passed_over(lab: Lab) -> None:
    dead = RegistryHost("http", FakeRegistry().host)
    assert await lab.client(dead, lab.host).resolve() == IMAGE.digest


async def test_a_mirror_without_the_capability_is_not_asked(lab: Lab, mirror: FakeRegistry) -> None:
    blobs_only = RegistryHost("http", mirror.host, capabilities=frozenset({"pull"}))
    assert await lab.client(blobs_only, lab.host).resolve() == IMAGE.digest
    assert mirror.requests == []


async def test_nobody_may_resolve(lab: Lab) -> None:
    with pytest.raises(RegistryError, match="names no host to resolve from"):
        await lab.client(RegistryHost("http", "x", capabilities=frozenset({"pull"}))).resolve()


async def test_a_mirror_that_lies_about_a_manifest_is_passed_over(lab: Lab, mirror: FakeRegistry) -> None:
    mirror.blobs[IMAGE.digest] = b"{}"
    client = lab.client(RegistryHost("http", mirror.host), lab.host)
    assert (await client.document("manifests", IMAGE.digest)).body == IMAGE.body
    with pytest.raises(ContentError, match=mirror.host):
        await lab.client(RegistryHost("http", mirror.host)).document("manifests", IMAGE.digest)


async def test_a_mirror_that_lies_about_a_blob_is_passed_over(lab: Lab, mirror: FakeRegistry) -> None:
    mirror.blobs[BLOB] = bytes(len(CONTENT))
    await lab.fetch(RegistryHost("http", mirror.host), lab.host)
    assert (bytes(lab.writer.data), lab.writer.restarts) == (CONTENT, 1)


@pytest.mark.parametrize("size", [10, len(CONTENT) + 1])
async def test_a_blob_of_another_size_is_refused_before_it_is_read(lab: Lab, size: int) -> None:
    lab.registry.blobs[BLOB] = bytes(size)
    with pytest.raises(ContentError, match=f"announces {size} bytes"):
        await lab.fetch()


async def test_a_document_that_never_ends(lab: Lab) -> None:
    with pytest.raises(LimitError, match="more than 100 bytes"):
        await lab.client(limit=100).document("manifests", IMAGE.digest)


async def test_a_download(lab: Lab) -> None:
    await lab.fetch()
    assert bytes(lab.writer.data) == CONTENT
    assert (lab.step.offset, lab.step.host) == (len(CONTENT), lab.registry.host)


def _breaking(chunk: int) -> Callable[[web.Request], object]:
    """Every connection brings ``chunk`` bytes and breaks."""

    async def fault(request: web.Request) -> web.StreamResponse | None:
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        return await broken_after(request, CONTENT, chunk, start=start) if start + chunk < len(CONTENT) else None

    return fault


async def test_a_broken_download_is_resumed_as_often_as_it_takes(lab: Lab) -> None:
    lab.registry.fault = _breaking(300_000)  # type: ignore[assignment]
    await lab.fetch()
    assert (bytes(lab.writer.data), lab.writer.restarts) == (CONTENT, 0)
    assert len(lab.registry.requests) > 5


async def test_a_blob_is_whole_without_the_end_of_the_answer(lab: Lab) -> None:
    async def fault(request: web.Request) -> web.StreamResponse | None:
        if len(lab.registry.requests) > 1:
            return None
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(CONTENT)
        assert request.transport is not None
        request.transport.close()
        return response

    lab.registry.fault = fault
    await lab.fetch()
    assert (bytes(lab.writer.data), len(lab.registry.requests)) == (CONTENT, 1)


async def test_a_server_that_ignores_ranges_begins_anew(lab: Lab) -> None:
    async def fault(request: web.Request) -> web.StreamResponse | None:
        first = len(lab.registry.requests) == 1
        return await broken_after(request, CONTENT, 5000) if first else web.Response(body=CONTENT)

    lab.registry.fault = fault
    await lab.fetch()
    assert (bytes(lab.writer.data), lab.writer.restarts) == (CONTENT, 1)


@pytest.mark.parametrize(("chunk", "ranges"), [(300_000, False), (1000, True)], ids=["no ranges", "trickle"])
async def test_a_server_that_always_breaks_off_is_not_asked_for_ever(lab: Lab, chunk: int, *, ranges: bool) -> None:
    async def fault(request: web.Request) -> web.StreamResponse:
        if len(lab.registry.requests) > 20:
            return web.Response(status=404)
        start = int(request.headers.get("Range", "bytes=0-")[6:-1]) if ranges else 0
        return await broken_after(request, CONTENT, chunk, start=start)

    lab.registry.fault = fault
    with pytest.raises(RegistryError, match=f"blob {BLOB}"):
        await lab.fetch()
    assert len(lab.registry.requests) == 3 + (not ranges)


async def test_a_server_without_ranges_may_break_off_a_few_times(lab: Lab) -> None:
    async def fault(request: web.Request) -> web.StreamResponse:
        last = len(lab.registry.requests) == 4
        return web.Response(body=CONTENT) if last else await broken_after(request, CONTENT, 300_000)

    lab.registry.fault = fault
    await lab.fetch()
    assert bytes(lab.writer.data) == CONTENT


async def test_a_connection_that_goes_silent_is_taken_up_again(lab: Lab) -> None:
    async def fault(request: web.Request) -> web.StreamResponse | None:
        if len(lab.registry.requests) > 1:
            return None
        response = web.StreamResponse(headers={"Content-Length": str(len(CONTENT))})
        await response.prepare(request)
        await response.write(CONTENT[:70_000])
        await asyncio.sleep(2)
        return response

    lab.registry.fault = fault
    await lab.fetch()
    assert bytes(lab.writer.data) == CONTENT


async def test_a_redirect_is_followed_without_credentials(lab: Lab, mirror: FakeRegistry) -> None:
    mirror.blobs[BLOB] = CONTENT
    lab.registry.basic = ("u", "p")
    location = f"http://{mirror.host}/v2/cdn/blobs/{BLOB}"

    async def fault(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=307, headers={"Location": location}) if "Authorization" in request.headers else None

    lab.registry.fault = fault
    client = lab.client(auth=RequestAuth(username="u", password="p"))
    await download(client, BLOB, len(CONTENT), lab.writer, lab.step)
    assert bytes(lab.writer.data) == CONTENT
    assert "Authorization" not in mirror.headers[0]


@pytest.mark.parametrize(
    ("location", "complaint"),
    [
        ("/self", "redirects"),
        ("file:///etc/passwd", "web address"),
        ("http://[", "web address"),
        ("http://h:x/", "web address"),
    ],
)
async def test_redirects_that_lead_nowhere(lab: Lab, location: str, complaint: str) -> None:
    async def fault(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=302, headers={"Location": location if "://" in location else request.path})

    lab.registry.fault = fault
    with pytest.raises(RegistryError, match=complaint):
        await lab.fetch()


async def test_other_digests_than_sha256(lab: Lab) -> None:
    digest = Digest(f"sha512:{hashlib.sha512(b'{}').hexdigest()}")
    lab.registry.blobs[digest] = b"{}"
    assert (await lab.client().document("blobs", digest, 2)).body == b"{}"
