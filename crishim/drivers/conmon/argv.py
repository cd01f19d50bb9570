"""What conmon is told: its command line, and the files it makes."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from crishim.core.errors import refusal


class Monitor(Struct, frozen=True, kw_only=True):
    """One monitor of one container.

    ``runtime`` is the OCI runtime it is to call, with ``runtime_args`` before the command. An empty ``log_path``
    means that nothing is logged. ``leave_stdin_open``: the container's input goes on when who was attached leaves.
    """

    container_id: str
    program: Path
    runtime: Path
    runtime_args: tuple[str, ...] = ()
    bundle: Path
    exits: Path
    log_path: str = ""
    terminal: bool = False
    stdin: bool = False
    leave_stdin_open: bool = False
    systemd_cgroup: bool = False

    @property
    def files(self) -> MonitorFiles:
        """What it makes."""
        return MonitorFiles(self.container_id, self.bundle, self.exits)


class MonitorFiles(Struct, frozen=True):
    """The files of one monitor, in the bundle and in the directory of all exit files."""

    container_id: str
    bundle: Path
    exits: Path

    @property
    def exit(self) -> Path:
        """The exit code as a decimal number; it comes when the container has ended."""
        return self.exits / self.container_id

    @property
    def init_pid(self) -> Path:
        """The process id of the container's first process, written by the OCI runtime."""
        return self.bundle / "init.pid"

    @property
    def control(self) -> Path:
        """A FIFO that takes commands; see ``control``."""
        return self.bundle / "ctl"

    @property
    def attach(self) -> Path:
        """The socket of the container's streams; see ``attach``."""
        return self.bundle / "attach"

    @property
    def out_of_memory(self) -> Path:
        """Comes when conmon hears that the kernel killed a process of the container."""
        return self.bundle / "oom"

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file; the exit file last."""
        in_bundle = (self.init_pid, self.control, self.bundle / "winsz", self.attach, self.out_of_memory)
        return (*in_bundle, self.exit)


def command_line(monitor: Monitor) -> tuple[str, ...]:
    """The command line for ``monitor``. Raises InvalidArgumentError for a log path that conmon cannot take."""
    if ":" in monitor.log_path:  # conmon would cut the path there
        raise refusal("log_path", "a path without a colon", monitor.log_path)
    flags = {
        "--terminal": monitor.terminal,
        "--stdin": monitor.stdin,
        "--leave-stdin-open": monitor.leave_stdin_open,
        "--systemd-cgroup": monitor.systemd_cgroup,
    }
    return (
        str(monitor.program),
        "--api-version=1",
        "--sync",  # it stays the process that was started
        "--no-sync-log",
        "--full-attach",  # the socket is in the bundle itself
        f"--cid={monitor.container_id}",
        f"--cuuid={monitor.container_id}",
        f"--runtime={monitor.runtime}",
        *(f"--runtime-arg={argument}" for argument in monitor.runtime_args),
        f"--bundle={monitor.bundle}",
        f"--container-pidfile={monitor.files.init_pid}",
        f"--exit-dir={monitor.exits}",
        f"--log-path={f'k8s-file:{monitor.log_path}' if monitor.log_path else 'none'}",
        *(flag for flag, wanted in flags.items() if wanted),
    )
