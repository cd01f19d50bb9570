"""What lies below every image: the places at which the files and file systems of a pod are mounted in a container.

Most images lack some of them. An OCI runtime would make those in the writable layer, of each container anew, with a
copy of the image's /etc. What an image has at these places counts, as it lies above.
"""

from __future__ import annotations

from pathlib import Path

from crishim.drivers.syscalls import system_call

_DIRECTORIES = ("dev", "etc", "proc", "sys")
FILES = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")
"""Those of them that are files, as a container sees them."""


def make_mount_points(layer: Path) -> None:
    """Make the directory ``layer`` with all of them, or what is missing of it. Blocks. Raises SystemCallError."""
    with system_call("make", str(layer)):
        for directory in (layer, *(layer / name for name in _DIRECTORIES)):
            directory.mkdir(exist_ok=True, parents=True)
            directory.chmod(0o755)
        for file in (layer / name.lstrip("/") for name in FILES):
            file.touch()
            file.chmod(0o644)
