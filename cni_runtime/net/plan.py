"""A plan: a tuple of effects, each an inspectable value that says one thing to be done to the kernel.

Pure code makes plans; ``apply`` carries one out in order. Before each effect the fault point
``LABEL.EFFECT`` is reached (``bridge.ADD.add_veth``) and its undo is noted, so that a failure at any point takes
back what the plan did. Effects in the pod's namespace are done by a thread that entered it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import partial
from itertools import groupby
from typing import ClassVar, Protocol

from msgspec import Struct

from cni_runtime import faults
from cni_runtime.net.ifreq import link_index
from cni_runtime.net.sockets import NetlinkError, NetlinkSocket, in_namespace


class Where(Enum):
    """In which namespace an effect takes place."""

    HOST = "host"
    POD = "pod"


class Place(Struct, frozen=True):
    """What an effect has to work with: a socket in its namespace, and the pod's namespace for moving links."""

    netlink: NetlinkSocket
    pod: int | None

    def index(self, name: str) -> int:
        """The index of the link of that name; raises NetlinkError when there is none, OSError."""
        index = link_index(self.netlink, name)
        if index is None:
            raise NetlinkError(errno.ENODEV, f"link {name} is not there")
        return index


class Effect(Protocol):
    """One thing to be done. ``name`` is its fault point."""

    name: ClassVar[str]

    @property
    def where(self) -> Where:
        """The namespace it takes place in."""
        ...

    def do(self, place: Place) -> None:
        """Do it. Raises OSError."""
        ...

    def undo(self, place: Place) -> None:
        """Take back what ``do`` did, wholly, in part or not at all. Raises OSError."""
        ...


Plan = tuple[Effect, ...]


def apply(plan: Sequence[Effect], *, pod: int | None, label: str) -> None:
    """Carry out ``plan``; ``pod`` is a file descriptor of the pod's namespace. Blocks for some milliseconds.

    Raises what the first effect that failed raised, after the undo of it and of those before it; what went
    wrong in an undo is added as a note.
    """
    begun: list[Effect] = []
    try:
        _each(plan, pod, partial(_do, begun, label))
    except BaseException as exc:
        _undo(begun, pod, exc)
        raise


@contextmanager
def applied(plan: Sequence[Effect], *, pod: int | None, label: str) -> Iterator[None]:
    """Carry out ``plan``, see ``apply``; it is undone when the body fails."""
    apply(plan, pod=pod, label=label)
    try:
        yield
    except BaseException as exc:
        _undo(plan, pod, exc)
        raise


def _undo(effects: Sequence[Effect], pod: int | None, cause: BaseException) -> None:
    for effect in reversed(effects):
        try:
            _each((effect,), pod, lambda place, effect: effect.undo(place))
        except OSError as exc:
            cause.add_note(f"undo of {effect.name}: {exc}")


def _each(effects: Sequence[Effect], pod: int | None, act: Callable[[Place, Effect], None]) -> None:
    for where, group in groupby(effects, key=lambda effect: effect.where):
        together = tuple(group)
        in_namespace(pod if where is Where.POD else None, partial(_in_place, together, pod, act))


def _in_place(effects: Sequence[Effect], pod: int | None, act: Callable[[Place, Effect], None]) -> None:
    with NetlinkSocket() as netlink:
        place = Place(netlink, pod)
        for effect in effects:
            act(place, effect)


def _do(begun: list[Effect], label: str, place: Place, effect: Effect) -> None:
    faults.reach(f"{label}.{effect.name}")
    begun.append(effect)
    effect.do(place)
