"""The certificate of the streaming server: the operator's, or one it signs itself with the program ``openssl``."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import anyio

from crishim.core.errors import ConfigError, CrishimError, UnavailableError
from crishim.drivers.process import command
from crishim.drivers.process.programs import program_path

_DAYS = 3650  # it is gone with the process that made it, so this only has to be longer than any of them runs
_SECONDS = 30.0


async def server_context(address: str, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """TLS for a server at ``address``, with the given files or a certificate of its own that is nowhere on disk.

    Raises ConfigError for files that are no certificate with its key, UnavailableError when none could be made.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if certificate is not None:
        await anyio.to_thread.run_sync(_load_files, context, certificate, key)
    else:
        _load_text(context, await _self_signed(address))
    return context


def _load_files(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # SSLError is one too
        raise ConfigError(
            f"streaming server: {certificate} with {key}: not a certificate and its key: {error}"
        ) from error


def _load_text(context: ssl.SSLContext, text: bytes) -> None:
    """The key stays in memory; but ``ssl`` reads certificates from files only."""
    file = os.memfd_create("streaming-certificate")
    try:
        os.write(file, text)
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)


async def _self_signed(address: str) -> bytes:
    """A key and a certificate for ``address``, one after the other."""
    try:
        made = await command.run(_command(address), env={"PATH": program_path()}, seconds=_SECONDS)
    except CrishimError as error:
        raise UnavailableError(f"streaming server: cannot make a certificate: {error}") from error
    if made.status:
        complaint = made.stderr.decode(errors="replace").strip()
        raise UnavailableError(f"streaming server: openssl made no certificate: {complaint}")
    return made.stdout


def _command(address: str) -> Sequence[str]:
    names = ["DNS:localhost", "IP:127.0.0.1", "IP:::1", _subject(address)]
    return (
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-keyout", "-", "-out", "-", "-days", str(_DAYS), "-subj", "/CN=crishim streaming"),
        *("-addext", f"subjectAltName={','.join(dict.fromkeys(filter(None, names)))}"),
    )


def _subject(address: str) -> str:
    if not address:
        return ""
    try:
        return f"IP:{ip_address(address)}"
    except ValueError:
        return f"DNS:{address}"
