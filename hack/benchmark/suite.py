"""The CRI validation suite's own benchmark, one pod and one container at a time: a client that none of us wrote."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from hack.benchmark.contenders import IMAGE, Contender, compare_in_turns
from hack.benchmark.timed import Times
from tests.lab.daemon import TOOLS

_MADE, _STARTED = "CreateContainer", "StartContainer"
_FOCUS = "benchmark about lifecycle of PodSandbox|benchmark about basic operations on Container"


class SuiteLoad(msgspec.Struct, frozen=True):
    """In every round the suite makes so many pods, and as many containers, on each server."""

    pods: int
    rounds: int
    runtimes: tuple[str, ...]


class _Datapoint(msgspec.Struct, rename="camel"):
    operations_durations_ns: list[int]


class _Report(msgspec.Struct, rename="camel"):
    operations_names: list[str]
    datapoints: list[_Datapoint]


def compare_by_suite(load: SuiteLoad, progress: Callable[[str], Any]) -> dict[str, Times]:
    """The times of each server. Nothing is left on the machine."""
    return compare_in_turns(load.runtimes, load.rounds, partial(_round, load), progress)


def _round(load: SuiteLoad, contender: Contender, times: Times) -> None:
    for report in _run(contender, load.pods):
        _add(report, times)


def _run(contender: Contender, pods: int) -> Iterator[_Report]:
    with TemporaryDirectory() as name:
        directory = Path(name)
        numbers, images = directory / "numbers.yaml", directory / "images.yaml"
        numbers.write_text(f"podsNumber: {pods}\ncontainersNumber: {pods}\n")
        images.write_text(f"defaultTestContainerImage: {IMAGE}\n")
        (directory / "reports").mkdir()
        socket = f"unix://{contender.server.socket}"
        command = [
            f"{TOOLS}/critest", "-benchmark", f"-benchmarking-params-file={numbers}",
            f"-benchmarking-output-dir={directory / 'reports'}", f"-test-images-file={images}",
            f"-runtime-endpoint={socket}", f"-image-endpoint={socket}", f"-ginkgo.focus={_FOCUS}",
        ]  # fmt: skip
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise SystemExit(f"{contender.name}: critest failed\n{ended.stdout[-4000:]}{ended.stderr[-2000:]}")
        for report in sorted((directory / "reports").iterdir(), reverse=True):  # pods first
            yield msgspec.json.decode(report.read_bytes(), type=_Report)


def _add(report: _Report, times: Times) -> None:
    for datapoint in report.datapoints:
        took = dict(zip(report.operations_names, datapoint.operations_durations_ns, strict=True))
        if _MADE in took:
            took = {"Create + Start": took.pop(_MADE) + took.pop(_STARTED), **took}
        for name, nanoseconds in took.items():
            times[name].append(nanoseconds / 1e6)
