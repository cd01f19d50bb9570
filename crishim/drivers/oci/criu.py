"""Whether CRIU, with which OCI runtimes make checkpoints of containers, works on this node."""

from __future__ import annotations

from shutil import which

from crishim.core.errors import CrishimError, explain
from crishim.drivers.oci.program import environment
from crishim.drivers.process.command import run

_SECONDS = 10.0


async def checkpoint_obstacle(criu: str = "criu") -> str:
    """Why no container of this node can be checkpointed, in the words of ``criu check`` (criu(8)) where it has any."""
    if which(criu) is None:
        return "criu is not installed"
    try:
        ended = await run([criu, "check"], env=environment(), seconds=_SECONDS)
    except CrishimError as error:
        return f"criu does not work on this node: {explain(error)}"
    if ended.status:
        lines = ended.stderr.decode(errors="replace").split("\n")
        said = [line.partition("): ")[2] for line in lines if line.startswith("Error")]
        return f"criu does not work on this node: {said[0] if said else f'criu check ended with {ended.status}'}"
    return "criu works on this node, but crishim does not make checkpoints yet"
