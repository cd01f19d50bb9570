from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest
from msgspec import Struct

from cni_runtime.net.plan import Place, Where, applied, apply


class Step(Struct, frozen=True):
    """An effect on nothing but a list."""

    name: ClassVar[str] = "step"
    label: str
    log: list[str]
    fails: Callable[[str], bool] = lambda _: False
    where: Where = Where.HOST

    def do(self, place: Place) -> None:
        self._say("do")

    def undo(self, place: Place) -> None:
        self._say("undo")

    def _say(self, verb: str) -> None:
        self.log.append(f"{verb} {self.label}")
        if self.fails(verb):
            raise OSError(f"{verb} of {self.label} failed")


def test_effects_are_done_in_order() -> None:
    log: list[str] = []
    apply((Step("a", log), Step("b", log)), pod=None, label="test")
    assert log == ["do a", "do b"]


def test_a_failure_undoes_what_was_begun_the_last_first() -> None:
    log: list[str] = []
    plan = (Step("a", log), Step("b", log, fails="do".__eq__), Step("c", log))
    with pytest.raises(OSError, match="do of b failed"):
        apply(plan, pod=None, label="test")
    assert log == ["do a", "do b", "undo b", "undo a"]


def test_an_undo_that_fails_is_told_and_does_not_stop_the_others() -> None:
    log: list[str] = []
    plan = (Step("a", log), Step("b", log, fails=lambda _: True))
    with pytest.raises(OSError, match="do of b failed") as caught:
        apply(plan, pod=None, label="test")
    assert caught.value.__notes__ == ["undo of step: undo of b failed"]
    assert log[-1] == "undo a"


def test_a_body_that_fails_undoes_the_whole_plan() -> None:
    log: list[str] = []
    with pytest.raises(TimeoutError), applied((Step("a", log), Step("b", log)), pod=None, label="test"):
        raise TimeoutError
    assert log == ["do a", "do b", "undo b", "undo a"]
