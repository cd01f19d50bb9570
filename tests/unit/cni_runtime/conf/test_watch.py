"""A configuration directory in memory follows the one on disk."""

import errno
import json
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import anyio
import pytest
from anyio import to_thread

from cni_runtime.conf.types import ConfDir, NetworkList, SkippedFile
from cni_runtime.conf.watch import ConfDirWatcher, Snapshot, keep_last_good
from cni_runtime.errors import ConfigError
from cni_runtime.testing.shortage import no_threads_left

pytestmark = pytest.mark.anyio

_DIR = Path("/etc/cni/net.d")


def _network(file: str, name: str = "") -> NetworkList:
    return NetworkList(name=name or file, cni_version="1.0.0", plugins=(), source=str(_DIR / file), raw="{}")


def _bad(file: str) -> SkippedFile:
    return SkippedFile(_DIR / file, ConfigError(f"{file} is bad"))


def _conf(*items: NetworkList | SkippedFile) -> ConfDir:
    networks = tuple(item for item in items if isinstance(item, NetworkList))
    return ConfDir(_DIR, networks, tuple(item for item in items if isinstance(item, SkippedFile)))


_A, _B = _network("a"), _network("b")


@pytest.mark.parametrize(
    ("before", "loaded", "max_num", "in_force", "skipped"),
    [
        pytest.param(_conf(), _conf(_B, _A), 0, ["a", "b"], [], id="in file order"),
        pytest.param(_conf(_A), _conf(_bad("a")), 0, ["a"], ["a"], id="a bad file leaves its network in force"),
        pytest.param(_conf(_A), _conf(_bad("a"), _B), 1, ["a"], ["a"], id="and in its place"),
        pytest.param(_conf(), _conf(_bad("a"), _B), 1, ["b"], ["a"], id="a file that was never good is passed over"),
        pytest.param(_conf(_A), _conf(_B), 0, ["b"], [], id="a deleted file is gone"),
        pytest.param(_conf(_A), _conf(), 0, [], [], id="so is the last one"),
        pytest.param(_conf(_A), _conf(_A, _bad("b")), 1, ["a"], [], id="what is beyond the limit does not matter"),
        pytest.param(_conf(_A, _B), _conf(_bad("")), 0, ["a", "b"], ["net.d"], id="an unreadable directory"),
    ],
)
def test_the_last_good_network_stays(
    before: ConfDir, loaded: ConfDir, max_num: int, in_force: list[str], skipped: list[str]
) -> None:
    merged = keep_last_good(before, loaded, max_num)
    assert [network.name for network in merged.networks] == in_force
    assert [entry.path.name for entry in merged.skipped] == skipped


def test_a_mended_file_replaces_what_was_kept() -> None:
    kept = keep_last_good(_conf(_A), _conf(_bad("a")))
    assert keep_last_good(kept, _conf(_network("a", "new"))).networks[0].name == "new"


class _Watched:
    """A directory, the watcher that runs over it, and the snapshots it told of."""

    def __init__(self, directory: Path, max_num: int = 0) -> None:
        self.directory = directory
        self.told: list[Snapshot] = []
        self.watcher = ConfDirWatcher(directory, max_num, on_change=self.told.append)

    @property
    def names(self) -> list[str]:
        return [network.name for network in self.watcher.snapshot.networks]

    async def becomes(self, *names: str) -> None:
        await _until(lambda: self.names == list(names))

    async def loaded(self) -> None:
        await _until(lambda: self.watcher.snapshot.loaded_at > 0)


async def _until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110 - a test may look from time to time
            await anyio.sleep(0.01)


def _write(path: Path, name: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cniVersion": "1.0.0", "name": name, "plugins": [{"type": "bridge"}]}))


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[_Watched]:
    watched = _Watched(tmp_path / "cni" / "net.d")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watched.watcher.run)
        await watched.loaded()
        yield watched
        tasks.cancel_scope.cancel()


async def test_reload_loads_without_a_running_task(tmp_path: Path) -> None:
    watched = _Watched(tmp_path)
    assert watched.watcher.snapshot == Snapshot(tmp_path)
    _write(tmp_path / "10-a.conflist", "a")
    snapshot = await watched.watcher.reload()
    assert (snapshot, watched.names, watched.told) == (watched.watcher.snapshot, ["a"], [snapshot])


async def test_a_directory_that_is_made_later_and_its_files_are_found(watched: _Watched) -> None:
    assert watched.names == []
    watched.directory.mkdir(parents=True)
    _write(watched.directory / "10-a.conflist", "a")
    await watched.becomes("a")
    _write(watched.directory / "05-b.conflist", "b")
    await watched.becomes("b", "a")
    (watched.directory / "10-a.conflist").unlink()
    await watched.becomes("b")


async def test_a_bad_file_is_reported_while_its_network_stays(watched: _Watched) -> None:
    file = watched.directory / "10-a.conflist"
    _write(file, "a")
    await watched.becomes("a")
    file.write_text('{"name": ')
    await _until(lambda: bool(watched.watcher.snapshot.skipped))
    assert (watched.names, str(file) in str(watched.watcher.snapshot.skipped[0].error)) == (["a"], True)
    _write(file, "mended")
    await watched.becomes("mended")
    assert watched.watcher.snapshot.skipped == ()


async def test_the_rename_of_an_editor_is_seen(watched: _Watched) -> None:
    _write(watched.directory / "10-a.conflist", "a")
    await watched.becomes("a")
    _write(watched.directory / ".10-a.swp", "new")
    (watched.directory / ".10-a.swp").rename(watched.directory / "10-a.conflist")
    await watched.becomes("new")


@pytest.mark.parametrize("above", [False, True])
async def test_a_directory_removed_and_made_again_is_followed(watched: _Watched, above: bool) -> None:
    for name in ("a", "b"):
        _write(watched.directory / "10.conflist", name)
        await watched.becomes(name)
        shutil.rmtree(watched.directory.parent if above else watched.directory)
        await watched.becomes()


async def test_a_directory_renamed_over_is_followed(watched: _Watched, tmp_path: Path) -> None:
    _write(watched.directory / "10.conflist", "a")
    await watched.becomes("a")
    _write(tmp_path / "next" / "10.conflist", "b")
    watched.directory.parent.rename(tmp_path / "old")
    (tmp_path / "next").rename(tmp_path / "cni")
    await watched.becomes()
    (tmp_path / "cni" / "10.conflist").rename(tmp_path / "b.conflist")
    watched.directory.mkdir()
    (tmp_path / "b.conflist").rename(watched.directory / "b.conflist")
    await watched.becomes("b")


def _publish(volume: Path, version: str) -> None:
    """Put a new version of a ConfigMap in place, as kubelet does: in one rename of the link ``..data``."""
    _write(volume / f"..{version}" / "10.conflist", version)
    (volume / "..data_tmp").symlink_to(f"..{version}")
    (volume / "..data_tmp").rename(volume / "..data")


async def test_a_config_map_that_is_updated_is_followed(watched: _Watched) -> None:
    watched.directory.mkdir(parents=True)
    _publish(watched.directory, "v1")
    (watched.directory / "10.conflist").symlink_to("..data/10.conflist")
    await watched.becomes("v1")
    _publish(watched.directory, "v2")
    shutil.rmtree(watched.directory / "..v1")
    await watched.becomes("v2")


async def test_a_file_behind_a_link_is_followed(watched: _Watched, tmp_path: Path) -> None:
    watched.directory.mkdir(parents=True)
    (watched.directory / "10.conflist").symlink_to(tmp_path / "volume" / "..data" / "net.conflist")
    for version in ("v1", "v2"):
        _write(tmp_path / "volume" / version / "net.conflist", version)
        (tmp_path / "link").symlink_to(version)
        (tmp_path / "link").rename(tmp_path / "volume" / "..data")
        await watched.becomes(version)


async def test_a_file_behind_a_link_is_followed_when_it_is_written_in_place(watched: _Watched, tmp_path: Path) -> None:
    watched.directory.mkdir(parents=True)
    (watched.directory / "10.conflist").symlink_to(tmp_path / "volume" / "net.conflist")
    for name in ("a", "b"):
        _write(tmp_path / "volume" / "net.conflist", name)
        await watched.becomes(name)


async def test_a_directory_that_is_a_link_is_followed(watched: _Watched, tmp_path: Path) -> None:
    watched.directory.parent.mkdir()
    for version in ("v1", "v2"):
        _write(tmp_path / version / "10.conflist", version)
        (tmp_path / "link").symlink_to(tmp_path / version)
        (tmp_path / "link").rename(watched.directory)
        await watched.becomes(version)
    _write(tmp_path / "v2" / "20.conflist", "late")
    await watched.becomes("v2", "late")


async def test_plugins_in_a_directory_of_their_own_are_followed(watched: _Watched) -> None:
    _write(watched.directory / "10.conflist", "net")
    (watched.directory / "net").mkdir()
    await watched.becomes("net")
    (watched.directory / "net" / "20-tuning.conf").write_text('{"type": "tuning"}')
    await _until(lambda: len(watched.watcher.snapshot.networks[0].plugins) == 2)


async def test_nothing_is_lost_while_files_come_and_go_quickly(watched: _Watched) -> None:
    for round_ in range(30):
        _write(watched.directory / f"{round_ % 7}.conflist", f"n{round_}")
        await anyio.sleep(0.013)
        if round_ % 10 == 9:
            shutil.rmtree(watched.directory)
    _write(watched.directory / "9.conflist", "last")
    await watched.becomes("last")


async def test_a_burst_is_one_change_and_silence_is_none(watched: _Watched) -> None:
    watched.directory.mkdir(parents=True)
    await anyio.sleep(0.3)
    loads = watched.watcher.snapshot.loaded_at
    await anyio.sleep(0.3)
    assert (watched.watcher.snapshot.loaded_at, watched.told) == (loads, [])
    for number in range(20):
        _write(watched.directory / "10.conflist", f"n{number}")
    await watched.becomes("n19")
    assert len(watched.told) <= 3


async def test_neighbours_of_the_directory_do_not_matter(watched: _Watched, tmp_path: Path) -> None:
    before = watched.watcher.snapshot.loaded_at
    (tmp_path / "other").write_text("")
    await anyio.sleep(0.3)
    assert watched.watcher.snapshot.loaded_at == before


def _open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_cancelling_closes_all_watches(tmp_path: Path) -> None:
    before = _open_descriptors()
    watched = _Watched(tmp_path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watched.watcher.run)
        await watched.loaded()
        tasks.cancel_scope.cancel()
    assert _open_descriptors() == before


def _used_up(directory: Path) -> NoReturn:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(directory))


async def test_without_inotify_the_directory_is_looked_at_from_time_to_time(tmp_path: Path) -> None:
    watcher = ConfDirWatcher(tmp_path, poll=0.05, open_watches=_used_up)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.run)
        await anyio.sleep(0.1)
        _write(tmp_path / "10.conflist", "a")
        await _until(lambda: len(watcher.snapshot.networks) == 1)
        tasks.cancel_scope.cancel()
    assert "Too many open files" in watcher.snapshot.unwatched


async def test_it_goes_on_when_threads_have_been_used_up(tmp_path: Path) -> None:
    watched, descriptors, held = _Watched(tmp_path), _open_descriptors(), threading.Event()
    watched.watcher = ConfDirWatcher(tmp_path, poll=0.05)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watched.watcher.run)
        await watched.loaded()
        tasks.start_soon(partial(to_thread.run_sync, held.wait, 5.0))  # in the thread that the watcher has used so far
        with no_threads_left():
            _write(tmp_path / "10.conflist", "a")
            await anyio.sleep(0.3)
        held.set()
        await watched.becomes("a")
        tasks.cancel_scope.cancel()
    assert _open_descriptors() == descriptors
