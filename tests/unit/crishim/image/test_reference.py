"""Image references: what people type, and what it means."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crishim.core.errors import InvalidArgumentError
from crishim.image.digest import Digest
from crishim.image.reference import Reference, parse_reference

D = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("bitnami/nginx", "docker.io/bitnami/nginx:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/busybox:1", "docker.io/library/busybox:1"),
        ("docker.io/library/busybox", "docker.io/library/busybox:latest"),
        ("registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9"),
        ("localhost/a", "localhost/a:latest"),
        ("localhost:5000/a/b:x", "localhost:5000/a/b:x"),
        ("127.0.0.1:5000/a", "127.0.0.1:5000/a:latest"),
        ("[::1]:5000/a:t", "[::1]:5000/a:t"),
        ("[2001:db8::1]/a", "[2001:db8::1]/a:latest"),
        ("Host/a", "Host/a:latest"),
        (f"busybox@{D}", f"docker.io/library/busybox@{D}"),
        (f"busybox:1@{D}", f"docker.io/library/busybox:1@{D}"),
        ("a/b__c/d-e--f/g.h:T_0", "docker.io/a/b__c/d-e--f/g.h:T_0"),
        ("sha256:abc", "docker.io/library/sha256:abc"),
    ],
)
def test_normal_form(text: str, normal: str) -> None:
    assert str(parse_reference(text)) == normal


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        (":tag", "empty"),
        ("Busybox", "lower case"),
        ("a//b", "expected"),
        ("a/../b", "expected"),
        ("-a", "expected"),
        ("a:", "expected"),
        ("a:" + "t" * 129, "expected"),
        ("a@sha256:abc", "not a sha256"),
        ("a@md5:" + "a" * 32, "not a sha256"),
        ("a b", "expected"),
        ("a\n", "expected"),
        ("http://host/a", "no scheme"),
        ("0" * 64, "image id"),
        ("h.io/" + "a" * 256, "longer than 255"),
    ],
)
def test_refused(text: str, complaint: str) -> None:
    with pytest.raises(InvalidArgumentError, match=complaint):
        parse_reference(text)


def test_names_of_a_tagged_reference() -> None:
    reference = parse_reference("busybox:1")
    assert reference.repo_tag == "docker.io/library/busybox:1"
    assert reference.repo_digest(Digest(D)) == f"docker.io/library/busybox@{D}"
    assert reference.wanted == "1"


def test_a_digest_outweighs_the_tag() -> None:
    reference = parse_reference(f"busybox:1@{D}")
    assert (reference.repo_tag, reference.wanted) == (None, D)


_component = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
_host = st.one_of(
    st.builds("{}.{}".format, _component, _component),
    st.builds("{}:{}".format, _component, st.integers(1, 65535)),
    st.just("localhost"),
    st.just("[fe80::1]:443"),
)
_path = st.lists(_component, min_size=1, max_size=3).map("/".join)
_tag = st.none() | st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=20)
_digest = st.none() | st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:{}".format)


@given(_host, _path, _tag, _digest)
def test_parts_come_back(host: str, path: str, tag: str | None, digest: str | None) -> None:
    text = f"{host}/{path}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    found = parse_reference(text)
    wanted_tag = tag or (None if digest else "latest")
    assert (found.domain, found.path, found.tag, found.digest) == (host, path, wanted_tag, digest)


@given(st.text(max_size=40))
def test_anything_is_parsed_or_refused_and_the_normal_form_is_stable(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidArgumentError:
        return
    assert parse_reference(str(reference)) == reference
    assert isinstance(reference, Reference)
