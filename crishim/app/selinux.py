"""Labels the directories that the layers of containers lie in, so that SELinux lets containers run what is in them."""

from __future__ import annotations

from pathlib import Path

import structlog

from crishim.container.spec.selinux import LAYERS_LABEL
from crishim.core.errors import CrishimError, explain
from crishim.drivers import threads
from crishim.drivers.host_facts import HostFacts
from crishim.drivers.selinux import relabel_once
from crishim.drivers.syscalls import system_call

_log = structlog.get_logger(__name__)


async def open_selinux(facts: HostFacts, images: Path, containers: Path) -> str | None:
    """What Status is to tell: why this failed, empty if it did not, nothing where containers have no labels.

    They are made if they are not there; the first time, all that is in ``images`` is labelled, but nothing of a
    container: what it wrote, and its volumes, have a label of its own. A failure is no reason not to start: a policy
    may well let containers read what has another label.
    """
    if not facts.selinux_labels:
        return None
    try:
        for directory in (images, containers):
            await threads.run(_make, directory)
        await relabel_once(str(images), LAYERS_LABEL)
        await relabel_once(str(containers), LAYERS_LABEL, below=False)
    except CrishimError as error:
        problem = explain(error)
        _log.warning("selinux.layers_not_labelled", error=problem)
        return problem
    return ""


def _make(directory: Path) -> None:
    with system_call("mkdir", str(directory)):
        directory.mkdir(0o711, parents=True, exist_ok=True)
