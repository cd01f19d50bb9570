"""The directory entries that decide what a configuration directory holds."""

from pathlib import Path

import pytest

from cni_runtime.conf.lookup import concerns


def test_the_way_and_the_content_are_watched(tmp_path: Path) -> None:
    directory = tmp_path / "net.d"
    directory.mkdir()
    found = concerns(directory)
    assert found[directory] is None
    assert found[tmp_path] == frozenset({"net.d"})
    assert found[Path("/")] == frozenset({tmp_path.parts[1]})


def test_what_is_missing_is_waited_for_in_the_last_directory_there_is(tmp_path: Path) -> None:
    found = concerns(tmp_path / "cni" / "net.d")
    assert found[tmp_path] == frozenset({"cni"})
    assert tmp_path / "cni" not in found


def test_a_file_in_the_place_of_the_directory_is_waited_out(tmp_path: Path) -> None:
    (tmp_path / "net.d").write_text("")
    assert concerns(tmp_path / "net.d" / "sub")[tmp_path] == frozenset({"net.d"})


@pytest.mark.parametrize("absolute", [True, False])
def test_links_are_followed_and_watched_where_they_are(tmp_path: Path, absolute: bool) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" if absolute else "../" + tmp_path.name + "/real")
    found = concerns(tmp_path / "link")
    assert (found[tmp_path] or frozenset()) >= {"link", "real"}
    assert (found[tmp_path / "real"], tmp_path / "link" in found) == (None, False)


def test_linked_files_and_plugin_directories_count(tmp_path: Path) -> None:
    directory, elsewhere = tmp_path / "net.d", tmp_path / "elsewhere"
    (directory / "net").mkdir(parents=True)
    elsewhere.mkdir()
    (directory / "10-net.conflist").symlink_to(elsewhere / "net.conflist")
    found = concerns(directory)
    assert found[directory / "net"] is None
    assert found[elsewhere] == frozenset({"net.conflist"})


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert concerns(tmp_path / "a" / "net.d")[tmp_path] == frozenset({"a", "b"})
