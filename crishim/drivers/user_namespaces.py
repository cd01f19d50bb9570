"""User namespaces, and the namespaces that one owns.

The kernel lets no thread of a process with several enter or make a user namespace. So a short-lived child makes it,
together with those it is to own; this process, which is root outside of it, does everything else.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import ExitStack, asynccontextmanager

import anyio
from msgspec import Struct

from crishim.core.errors import DeadlineError, SystemCallError
from crishim.core.sysctls import NamespaceKind
from crishim.drivers import threads
from crishim.drivers.process.child import Child
from crishim.drivers.process.command import run
from crishim.drivers.process.programs import program_path
from crishim.drivers.process.spawn import Program
from crishim.drivers.process.stream import OutputFile
from crishim.drivers.syscalls import system_call
from crishim.model.pod import IDMapping, UserNamespace

SECONDS = 20.0  # a child takes some milliseconds
_SAID_LIMIT = 1 << 13
_WRITE = 'while [ $# -gt 0 ]; do printf %s "$2" >"$1" || { echo "($1)" >&2; exit 1; }; shift 2; done'


class Held(Struct, frozen=True):
    """A process in namespaces of its own, as ``directory``, the open directory of it below /proc.

    The directory never means another process, even when this one has ended.
    """

    directory: int

    @property
    def namespaces(self) -> str:
        """The directory of its namespaces, for every process of the node's root."""
        return f"/proc/{os.getpid()}/fd/{self.directory}/ns"

    def namespace(self, kind: NamespaceKind) -> str:
        """The file of one of its namespaces."""
        return f"{self.namespaces}/{kind}"


@asynccontextmanager
async def holding(userns: UserNamespace, kinds: Collection[NamespaceKind] = ()) -> AsyncIterator[Held]:
    """A process in a new user namespace with these ids, and in new namespaces of ``kinds`` that it owns.

    It ends with the context, or with this process. Raises SystemCallError, DeadlineError.
    """
    with ExitStack() as undo:
        said = OutputFile(_SAID_LIMIT)
        undo.callback(said.close)
        ours, theirs = socket.socketpair()
        undo.callback(ours.close)
        flags = [f"--{kind}" for kind in (NamespaceKind.USER, *kinds)]
        with theirs:
            descriptor = theirs.fileno()
            program = Program(
                argv=("unshare", *flags, "cat"), env=_environment(), stdin=descriptor, stdout=descriptor,
                stderr=said.writing,
            )  # fmt: skip
            child = await Child.start(program)
        try:
            await _answered(ours, said, flags)
            held = _open(child)
            undo.callback(os.close, held.directory)
            await threads.run(_map_ids, held, userns)
            yield held
        finally:
            await child.end()


async def write_inside(held: Held, kinds: Iterable[NamespaceKind], values: Mapping[str, str]) -> None:
    """Write files below /proc/sys as root of the user namespace, inside it and its namespaces of ``kinds``."""
    entered = [f"--{kind}={held.namespace(kind)}" for kind in (NamespaceKind.USER, *kinds)]
    pairs = [text for pair in values.items() for text in pair]
    argv = ("nsenter", *entered, "--", "sh", "-c", _WRITE, "sh", *pairs)
    ended = await run(argv, env=_environment(), seconds=SECONDS)
    if ended.status != 0:
        raise SystemCallError(f"write sysctls in the user namespace: {_line(ended.stderr)}")


def id_map(extents: Iterable[IDMapping]) -> bytes:
    """The content of /proc/PID/uid_map or gid_map; see user_namespaces(7)."""
    return b"".join(b"%d %d %d\n" % (each.container_id, each.host_id, each.length) for each in extents)


async def _answered(ours: socket.socket, said: OutputFile, flags: Iterable[str]) -> None:
    """Wait until the child is in its namespaces: it sends back what it gets, once it has come so far."""
    ours.setblocking(False)
    with anyio.move_on_after(SECONDS):
        try:
            ours.send(b"\n")
            await anyio.wait_readable(ours)
            answer = ours.recv(1)
        except (BrokenPipeError, ConnectionResetError):
            answer = b""
        if answer:
            return
        raise SystemCallError(f"unshare {' '.join(flags)}: {_line(said.content())}")
    raise DeadlineError(f"unshare {' '.join(flags)} did not end within {SECONDS:g} s and was killed")


def _open(child: Child) -> Held:
    """Only when the child is not reaped after the directory was opened, that was its own."""
    with system_call("open", f"/proc/{child.pid}"):
        held = Held(os.open(f"/proc/{child.pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    try:
        child.identify()
    except BaseException:
        os.close(held.directory)
        raise
    return held


def _map_ids(held: Held, userns: UserNamespace) -> None:
    for name, extents in (("uid_map", userns.uids), ("gid_map", userns.gids)):
        text = id_map(extents)
        with system_call(f"write {name}", repr(text.decode())):
            file = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=held.directory)
            try:
                os.write(file, text)
            finally:
                os.close(file)


def _environment() -> dict[str, str]:
    return {"PATH": f"{program_path()}:/usr/bin:/bin", "LC_ALL": "C"}


def _line(text: bytes) -> str:
    return " ".join(text.decode(errors="replace").split()) or "it ended without a word"
