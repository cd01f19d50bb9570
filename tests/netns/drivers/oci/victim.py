"""A server that is killed: takes one container through its life, in the process that runs this module.

python -m tests.netns.drivers.oci.victim RUNTIME PARENT
"""

from __future__ import annotations

import asyncio
import sys

from tests.netns.drivers.oci.lab import Lab, process


async def live(lab: Lab) -> None:
    """Make a container, start it, run a command in it, kill it and delete it; the same with those without a monitor."""
    await lab.open()
    container = await lab.run("sleep", "1000")
    await lab.driver.exec_sync(container, process("sleep", "0.02"), None)
    await lab.driver.kill_all(container)
    await lab.driver.wait(container)
    await lab.driver.delete(container.id)
    container = await lab.run_unwatched("sleep", "1000")
    await lab.driver.delete(container.id)
    await lab.driver.delete((await lab.run_infra()).id)


if __name__ == "__main__":
    asyncio.run(live(Lab(*sys.argv[1:])))
