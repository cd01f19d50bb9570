"""Processes, containers and sandboxes for streams, without a machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from crishim.core.errors import CrishimError, NotFoundError, UnavailableError
from crishim.drivers.pod_socket import PodConnection, PodDialer
from crishim.model.container import Container, ContainerConfig, ContainerMetadata, ImageSpec
from crishim.model.container import State as ContainerState
from crishim.model.pod import PodConfig, PodMetadata
from crishim.model.sandbox import NamespacePaths, Sandbox
from crishim.model.sandbox import State as SandboxState
from crishim.model.stream import AttachStream, ExecStream, Output

CHUNK = 64 * 1024


class FakeProcess:
    """A process as its program sees it. What it writes waits until it is read, as with a pipe."""

    def __init__(self, arguments: tuple[str, ...]) -> None:
        self.arguments = arguments
        self.sizes: list[tuple[int, int]] = []
        self.resized = asyncio.Event()
        self.stdin: asyncio.Queue[bytes] = asyncio.Queue(1)
        self.output: asyncio.Queue[tuple[Output, bytes] | None] = asyncio.Queue(1)

    async def read(self) -> bytes:
        """Some input, or nothing at its end."""
        return await self.stdin.get()

    async def write(self, data: bytes, output: Output = Output.STDOUT) -> None:
        """Write to one of the outputs."""
        await self.output.put((output, data))


Program = Callable[[FakeProcess], Awaitable[int]]


async def echo(process: FakeProcess) -> int:
    """Write the arguments."""
    await process.write(" ".join(process.arguments).encode() + b"\n")
    return 0


async def complain(process: FakeProcess) -> int:
    """Write the arguments to the error output."""
    await process.write(" ".join(process.arguments).encode() + b"\n", Output.STDERR)
    return 0


async def cat(process: FakeProcess) -> int:
    """Write what is read."""
    while data := await process.read():
        await process.write(data)
    return 0


async def count(process: FakeProcess) -> int:
    """Write how many bytes were read."""
    total = 0
    while data := await process.read():
        total += len(data)
    await process.write(f"{total}\n".encode())
    return 0


async def leave(process: FakeProcess) -> int:
    """End with the exit code that is the first argument, after a word."""
    await process.write(b"bye\n")
    return int(process.arguments[0])


async def produce(process: FakeProcess) -> int:
    """Write as many bytes as the first argument says."""
    left, chunk = int(process.arguments[0]), bytes(CHUNK)
    while left:
        part = chunk[: min(left, CHUNK)]
        await process.write(part)
        left -= len(part)
    return 0


async def sleep(process: FakeProcess) -> int:
    """Say so and do nothing more."""
    await process.write(b"asleep\n")
    await anyio.sleep_forever()
    return 0


async def deaf(process: FakeProcess) -> int:
    """Read no input, but end when the first argument's number of seconds have passed."""
    await anyio.sleep(float(process.arguments[0]))
    await process.write(b"heard nothing\n")
    return 0


async def measure(process: FakeProcess) -> int:
    """Write the size of the terminal as soon as it has one."""
    await process.resized.wait()
    width, height = process.sizes[-1]
    await process.write(f"{width}x{height}\n".encode())
    return 0


PROGRAMS: dict[str, Program] = {
    "echo": echo,
    "complain": complain,
    "cat": cat,
    "count": count,
    "leave": leave,
    "produce": produce,
    "sleep": sleep,
    "deaf": deaf,
    "measure": measure,
}


class FakeSession:
    """A ``streaming.ports.Session`` for a fake process; ``how_it_ended`` tells whether it was killed."""

    def __init__(self, program: Program, arguments: tuple[str, ...], *, kills: bool = True) -> None:
        self.process = FakeProcess(arguments)
        self.closed = asyncio.Event()
        self.how_it_ended = ""
        self._kills = kills
        self._task = asyncio.create_task(self._run(program), name="fake process")

    async def _run(self, program: Program) -> int:
        try:
            code = await program(self.process)
        except Exception:
            await self.process.output.put(None)
            raise
        await self.process.output.put(None)
        return code

    async def output(self) -> AsyncGenerator[tuple[Output, bytes], None]:
        """What the program writes."""
        while chunk := await self.process.output.get():
            yield chunk

    async def write_stdin(self, data: bytes) -> None:
        """Hand over ``data``; a program that ended does not read."""
        if self._task.done():
            raise BrokenPipeError("the process has ended")
        await self.process.stdin.put(data)

    async def close_stdin(self) -> None:
        """The end of the input."""
        await self.process.stdin.put(b"")

    async def resize(self, width: int, height: int) -> None:
        """Remember it."""
        self.process.sizes.append((width, height))
        self.process.resized.set()

    async def wait(self) -> int:
        """The exit code."""
        return await self._task

    async def aclose(self) -> None:
        """Kill it if it still runs."""
        if not self.how_it_ended:
            self.how_it_ended = "by itself" if self._task.done() else "killed" if self._kills else "left alone"
            self._task.cancel()
        self.closed.set()


@dataclass
class FakeExec:
    """Runs fake programs. ``error`` is raised instead of starting one; ``sessions`` are those that were started."""

    error: Exception | None = None
    programs: dict[str, Program] = field(default_factory=PROGRAMS.copy)
    requests: list[ExecStream] = field(default_factory=list)
    sessions: list[FakeSession] = field(default_factory=list)

    async def start(self, request: ExecStream) -> FakeSession:
        """Start the program that the command names."""
        if self.error:
            raise self.error
        name, *arguments = request.command
        if name not in self.programs:
            raise UnavailableError(f"exec {name!r}: not found in $PATH")
        self.requests.append(request)
        self.sessions.append(FakeSession(self.programs[name], tuple(arguments)))
        return self.sessions[-1]


@dataclass
class FakeAttach:
    """Every container runs ``program``, for each session anew."""

    program: Program = cat
    error: CrishimError | None = None
    sessions: list[FakeSession] = field(default_factory=list)

    async def attach(self, request: AttachStream) -> FakeSession:
        """Join it."""
        if self.error:
            raise self.error
        self.sessions.append(FakeSession(self.program, (), kills=False))
        return self.sessions[-1]


class FakeDialer:
    """Connects to ports of this host, and remembers which namespaces were asked for."""

    def __init__(self) -> None:
        self.dialed: list[tuple[str | None, int]] = []

    async def connect(self, netns: str | None, port: int) -> PodConnection:
        """A connection to localhost."""
        self.dialed.append((netns, port))
        return await PodDialer().connect(None, port)


@dataclass
class FakeLookup:
    """Finds containers and sandboxes whose ids begin with ``known`` in the given states."""

    known: str = "c0ffee"
    container_state: ContainerState = ContainerState.RUNNING
    sandbox_state: SandboxState = SandboxState.READY

    @property
    def containers(self) -> _Containers:
        """As ``streaming.ports.Containers``."""
        return _Containers(self)

    @property
    def sandboxes(self) -> _Sandboxes:
        """As ``streaming.ports.Sandboxes``."""
        return _Sandboxes(self)

    def full_id(self, given: str) -> str:
        """The id that ``given`` begins."""
        if not self.known.startswith(given):
            raise NotFoundError(f"{given} does not exist")
        return self.known


@dataclass
class _Containers:
    lookup: FakeLookup

    def get(self, container_id: str) -> Container:
        """The one there is."""
        return Container(
            id=self.lookup.full_id(container_id),
            sandbox_id="5a4d",
            config=ContainerConfig(ContainerMetadata("shell"), ImageSpec("busybox")),
            runtime_handler="crun",
            created_at=1,
            boot_id="boot",
            state=self.lookup.container_state,
        )


@dataclass
class _Sandboxes:
    lookup: FakeLookup

    def get(self, sandbox_id: str) -> Sandbox:
        """The one there is."""
        return Sandbox(
            id=self.lookup.full_id(sandbox_id),
            config=PodConfig(PodMetadata("web", "u1", "shop")),
            runtime_handler="crun",
            created_at=1,
            boot_id="boot",
            state=self.lookup.sandbox_state,
            namespaces=NamespacePaths(net="/run/netns/web"),
        )
