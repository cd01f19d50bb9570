"""The results cache, in libcni's format."""

import json
import logging
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_runtime.cache import CachedAttachment, ResultCache
from cni_runtime.errors import CniError, ErrorCode
from cni_runtime.files import partial_path

KEPT = CachedAttachment(
    container_id="c1",
    config=b'{"name": "net"}',
    if_name="eth0",
    network_name="net",
    netns="/run/netns/a",
    cni_args=(("K8S_POD_NAME", "web"),),
    capability_args={"portMappings": [{"hostPort": 80}]},
    result={"cniVersion": "1.0.0"},
)
BY_LIBCNI = {
    "kind": "cniCacheV1",
    "containerId": "c1",
    "config": "eyJuYW1lIjogIm5ldCJ9",
    "ifName": "eth0",
    "networkName": "net",
    "netns": "/run/netns/a",
    "cniArgs": [["K8S_POD_NAME", "web"]],
    "capabilityArgs": {"portMappings": [{"hostPort": 80}]},
    "result": {"cniVersion": "1.0.0"},
}


def _put(directory: Path, name: str, content: object) -> None:
    path = directory / "results" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def test_the_file_is_the_one_libcni_would_write(tmp_path: Path) -> None:
    ResultCache(tmp_path).write(KEPT)
    path = tmp_path / "results" / "net-c1-eth0"
    assert json.loads(path.read_text()) == BY_LIBCNI
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_what_is_not_said_is_not_written(tmp_path: Path) -> None:
    ResultCache(tmp_path).write(CachedAttachment(container_id="c", config=b"", if_name="e", network_name="n"))
    keys = json.loads((tmp_path / "results" / "n-c-e").read_text())
    assert set(keys) == {"kind", "containerId", "config", "ifName", "networkName"}


def test_the_file_of_libcni_can_be_read(tmp_path: Path) -> None:
    _put(tmp_path, "net-c1-eth0", {**BY_LIBCNI, "future": 1})
    assert ResultCache(tmp_path).read("net", "c1", "eth0") == KEPT


def test_removing_takes_leftovers_with_it_and_may_be_repeated(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path)
    cache.write(KEPT)
    partial_path(cache.path("net", "c1", "eth0")).touch()
    cache.remove("net", "c1", "eth0")
    cache.remove("net", "c1", "eth0")
    assert list((tmp_path / "results").iterdir()) == []
    assert cache.read("net", "c1", "eth0") is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "\0" * 4096,
        "[" * 100_000,
        [],
        {},
        {**BY_LIBCNI, "kind": "other"},
        {**BY_LIBCNI, "config": "?"},
        {**BY_LIBCNI, "result": []},
        {**BY_LIBCNI, "containerId": "c2"},
        {**BY_LIBCNI, "networkName": "../x"},
    ],
)
def test_a_bad_file_is_reported_and_absent(tmp_path: Path, content: object, caplog: pytest.LogCaptureFixture) -> None:
    _put(tmp_path, "net-c1-eth0", content)
    cache = ResultCache(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert cache.read("net", "c1", "eth0") is None
        assert cache.attachments("net") == []
    assert "net-c1-eth0" in caplog.text


def test_attachments_are_those_of_one_network(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path)
    names = [("net", "b"), ("net", "a"), ("net-x", "c"), ("other", "d")]
    for network, container in names:
        cache.write(msgspec.structs.replace(KEPT, network_name=network, container_id=container))
    _put(tmp_path, "net-junk", "")
    assert [kept.container_id for kept in cache.attachments("net")] == ["a", "b"]
    assert ResultCache(tmp_path / "gone").attachments("net") == []


@pytest.mark.parametrize(
    "names", [("../n", "c", "e"), ("n", "../../c", "e"), ("n", "c", "../e"), ("n" * 255, "c", "e")]
)
def test_no_name_leads_out_of_the_cache(tmp_path: Path, names: tuple[str, str, str]) -> None:
    with pytest.raises(CniError):
        ResultCache(tmp_path).path(*names)


def test_a_directory_that_cannot_be_made_is_an_io_failure(tmp_path: Path) -> None:
    (tmp_path / "results").touch()
    with pytest.raises(CniError) as caught:
        ResultCache(tmp_path).write(KEPT)
    assert caught.value.code == ErrorCode.IO_FAILURE


def test_a_file_that_cannot_be_removed_is_an_io_failure(tmp_path: Path) -> None:
    (tmp_path / "results" / "net-c1-eth0").mkdir(parents=True)
    with pytest.raises(CniError) as caught:
        ResultCache(tmp_path).remove("net", "c1", "eth0")
    assert caught.value.code == ErrorCode.IO_FAILURE


@given(content=st.binary(max_size=100))
def test_any_content_is_an_attachment_or_absent(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    directory = tmp_path_factory.mktemp("cache")
    (directory / "results").mkdir()
    (directory / "results" / "net-c1-eth0").write_bytes(content)
    assert ResultCache(directory).read("net", "c1", "eth0") is None
