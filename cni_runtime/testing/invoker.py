"""A fake Invoker: follows a script, remembers what it was asked and what is attached."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from cni_runtime.call import PluginCall, Verb
from cni_runtime.result import Interface, IPConfig, Result, encode_result
from cni_runtime.versions import SUPPORTED

Answer = Mapping[str, Any] | None
Reply = Answer | Exception | Callable[[PluginCall], Awaitable[Answer]]


class FakeInvoker:
    """Keeps the contract of ``call.Invoker`` without a plugin.

    Unless scripted otherwise, ADD passes the previous result on, or gives the container its own address out of
    10.88.0.0/16; the other verbs succeed. ``calls`` are all calls in order. ``attached`` are the pairs of plugin
    type and container ID that had an ADD and no DEL after it.
    """

    def __init__(self) -> None:
        self.calls: list[PluginCall] = []
        self.attached: set[tuple[str, str]] = set()
        self._script: dict[tuple[str, Verb], deque[Reply]] = defaultdict(deque)
        self._addresses: dict[str, int] = {}

    def script(self, plugin: str, verb: Verb, *replies: Reply) -> None:
        """The next calls of ``plugin`` with ``verb`` get ``replies``, one each: an object, an exception, a function."""
        self._script[plugin, verb].extend(replies)

    def verbs(self) -> list[str]:
        """All calls, each as "VERB type"."""
        return [f"{call.verb} {call.type}" for call in self.calls]

    async def invoke(self, call: PluginCall) -> Mapping[str, Any] | None:
        """See Invoker. An ADD counts as attached before it can fail, as a plugin that fails half-way is."""
        self.calls.append(call)
        if call.verb is Verb.ADD:
            self.attached.add((call.type, call.container_id))
        answer = await self._answer(call)
        if call.verb is Verb.DEL:
            self.attached.discard((call.type, call.container_id))
        return answer

    async def _answer(self, call: PluginCall) -> Answer:
        replies = self._script[call.type, call.verb]
        reply = replies.popleft() if replies else self._usual(call)
        if isinstance(reply, Exception):
            raise reply
        return await reply(call) if callable(reply) else reply

    def _usual(self, call: PluginCall) -> Answer:
        if call.verb is Verb.VERSION:
            return {"cniVersion": call.config["cniVersion"], "supportedVersions": list(SUPPORTED)}
        if call.verb is not Verb.ADD:
            return None
        previous: Answer = call.config.get("prevResult")
        return previous or encode_result(self._result(call), call.config["cniVersion"])

    def _result(self, call: PluginCall) -> Result:
        number = self._addresses.setdefault(call.container_id, len(self._addresses) + 2)
        ip = IPConfig(address=f"10.88.{number // 256}.{number % 256}/16", gateway="10.88.0.1", interface=0)
        return Result(interfaces=(Interface(name=call.ifname, sandbox=call.netns or ""),), ips=(ip,))


async def never(_call: PluginCall) -> Answer:
    """A reply that does not come."""
    await anyio.sleep_forever()
    return None
