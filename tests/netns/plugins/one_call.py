"""One call of the built-in plugins in a process of its own: the call as JSON on standard input, the answer on output.

Run with CNI_RUNTIME_FAULT set, the process ends at that fault point as if it had been killed there.
"""

from __future__ import annotations

import sys

import anyio
import msgspec

from cni_runtime.call import PluginCall
from cni_runtime.invoke.builtin import BuiltinInvoker


async def main() -> None:
    """Make the call."""
    call = msgspec.json.decode(sys.stdin.buffer.read(), type=PluginCall)
    invoker = BuiltinInvoker()
    answer = await invoker.invoke(call)
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    anyio.run(main)
