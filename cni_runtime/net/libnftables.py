"""nftables commands, run in this process by libnftables: 0.1 ms each, where the ``nft`` program takes 2 ms.

Without the library the program is used. Source: libnftables(3).
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import threading
from functools import cache
from typing import Protocol

from cni_runtime import faults

_JSON_OUTPUT = 1 << 4
_HANDLES = 1 << 3
_TIMEOUT = 30.0


class NftError(OSError):
    """nftables refused a transaction; nothing of it is in force. The text is what nftables said."""


class Nft(Protocol):
    """Something that runs nftables commands on the host."""

    def run(self, commands: str) -> str:
        """Run ``commands`` (nft's own language, one per line) as one transaction; its JSON output. Raises NftError."""
        ...


class LibraryNft:
    """The library, with one socket in the namespace of the thread that made this; safe to share between threads."""

    def __init__(self) -> None:
        """Raises OSError when there is no such library."""
        self._library = _library()
        self._lock = threading.Lock()
        self._context = ctypes.c_void_p(self._library.nft_ctx_new(0))
        self._library.nft_ctx_output_set_flags(self._context, _JSON_OUTPUT | _HANDLES)
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def run(self, commands: str) -> str:
        """See ``Nft.run``."""
        _tell(commands)
        with self._lock:
            if not self._context:
                raise NftError("nftables is closed")
            failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
            # Reading a buffer also empties it, so both are read every time.
            output = self._library.nft_ctx_get_output_buffer(self._context) or b""
            error = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if failed:
            raise NftError(error.decode(errors="replace").strip())
        return bytes(output).decode()

    def close(self) -> None:
        """Close the socket and free the memory."""
        with self._lock:
            if self._context:
                self._library.nft_ctx_free(self._context)
                self._context = ctypes.c_void_p()


class ProgramNft:
    """The ``nft`` program, a process for each transaction."""

    def run(self, commands: str) -> str:
        """See ``Nft.run``."""
        _tell(commands)
        # A file, not standard input: nft tries to read it as JSON first, and a pipe can be read only once.
        handle = os.memfd_create("nft-commands")
        try:
            with os.fdopen(handle, "wb", closefd=False) as file:
                file.write(commands.encode())
            argv = ("nft", "--json", "--handle", "--file", f"/proc/self/fd/{handle}")
            done = subprocess.run(
                argv, pass_fds=(handle,), capture_output=True, text=True, check=False, timeout=_TIMEOUT
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise NftError(f"run nft: {exc}") from exc
        finally:
            os.close(handle)
        if done.returncode:
            raise NftError(done.stderr.strip())
        return done.stdout

    def close(self) -> None:
        """Nothing to do."""


def open_nft() -> LibraryNft | ProgramNft:
    """The library if it is installed, else the program."""
    try:
        return LibraryNft()
    except OSError:
        return ProgramNft()


def list_chains(nft: Nft, family: str = "") -> frozenset[tuple[str, str]]:
    """Table (``ip nat``) and name of each chain that is there, of one family if given. Raises NftError.

    To list a chain that is not there is an error like any other; this tells which need not be listed.
    """
    listed = json.loads(nft.run(f"list chains {family}\n"))["nftables"]
    chains = (entry["chain"] for entry in listed if "chain" in entry)
    return frozenset((f"{chain['family']} {chain['table']}", chain["name"]) for chain in chains)


def _tell(commands: str) -> None:
    if not commands.startswith(("list", "get")):
        faults.reach("nft.run")


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libnftables.so.1")
    context = ctypes.c_void_p
    library.nft_ctx_new.restype = context
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_ctx_output_set_flags.argtypes = [context, ctypes.c_uint]
    library.nft_run_cmd_from_buffer.argtypes = [context, ctypes.c_char_p]
    for name in ("nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = [context]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = [context]
        getattr(library, name).restype = ctypes.c_char_p
    return library
