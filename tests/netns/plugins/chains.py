"""Calls for one pod through a chain of plugins, by built-in plugins or by the reference executables."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from cni_runtime.call import PluginCall, Verb
from cni_runtime.invoke.builtin import BuiltinInvoker
from cni_runtime.invoke.executable import ExecutableInvoker
from cni_runtime.testing.host import Host
from tests.netns.plugins.differential import REFERENCE

Config = Mapping[str, Any]
Invoker = BuiltinInvoker | ExecutableInvoker

ROOT = Path(__file__).parents[3]
BRIDGE: Config = {
    "type": "bridge",
    "isDefaultGateway": True,
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]},
}

needs_reference = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="the reference plugins are not built: hack/build-tools"
)
either_way = pytest.mark.parametrize(("adder", "deleter"), [("builtin", "reference"), ("reference", "builtin")])


class Chain:
    """One interface's plugins in order. ``result`` is that of the last ADD."""

    def __init__(
        self,
        host: Host,
        *plugins: Config,
        version: str = "1.0.0",
        pod: str = "pod",
        ifname: str = "eth0",
        netns: Path | None = None,
        container: str = "c",
    ) -> None:
        """``netns`` is that of a pod which has an interface already."""
        self.host = host
        self.netns = netns or host.add_netns(pod)
        self.ifname, self.container = ifname, container
        self.plugins = [{"cniVersion": version, "name": "net", **plugin} for plugin in plugins]
        self.result: Any = None
        self.builtin = BuiltinInvoker()
        self.gone = False

    def by(self, kind: str) -> Invoker:
        """The invoker of that kind: ``builtin`` or ``reference``."""
        return self.builtin if kind == "builtin" else ExecutableInvoker()

    async def add(self, kind: str = "builtin", last: str = "") -> Any:
        """ADD of all plugins, the last one by ``last`` if given; the result."""
        for plugin in self.plugins:
            chosen = last if last and plugin is self.plugins[-1] else kind
            self.result = await self.call(Verb.ADD, plugin, chosen)
        return self.result

    async def check(self, kind: str = "builtin") -> None:
        """CHECK of the last plugin."""
        await self.call(Verb.CHECK, self.plugins[-1], kind)

    async def delete(self, kind: str = "builtin", *, only_last: bool = False) -> None:
        """DEL of all plugins, or of the last."""
        for plugin in reversed(self.plugins[-1:] if only_last else self.plugins):
            await self.call(Verb.DEL, plugin, kind)

    async def call(self, verb: Verb, plugin: Config, kind: str = "builtin", **more: Any) -> Any:
        """Any call."""
        return await self.by(kind).invoke(self._call(verb, {**plugin, **more}))

    def killed(self, verb: Verb, fault: str) -> int:
        """Call the last plugin, built in, in a process that is killed at the fault point; how it ended."""
        return self._process(verb, (), {**os.environ, "CNI_RUNTIME_FAULT": f"{fault}:kill"}).returncode

    def on_node(self, verb: Verb, node: Path) -> Any:
        """Call the last plugin, built in, in a process on another node; the answer. ``node`` is its namespace."""
        done = self._process(verb, ("nsenter", f"--net={node}"), None)
        assert done.returncode == 0, done.stderr.decode()
        return msgspec.json.decode(done.stdout)

    def _process(
        self, verb: Verb, command: tuple[str, ...], env: Mapping[str, str] | None
    ) -> subprocess.CompletedProcess[bytes]:
        call = structs.replace(self._call(verb, self.plugins[-1]), path=())
        argv = [*command, sys.executable, "-m", "tests.netns.plugins.one_call"]
        return subprocess.run(
            argv, input=msgspec.json.encode(call), env=env, cwd=ROOT, check=False, capture_output=True, timeout=60
        )

    def drop_netns(self) -> None:
        """End the pod's namespace."""
        self.host.run("ip", "netns", "del", self.netns.name)
        self.gone = True

    def host_end(self) -> str:
        """The host's end of the pod's veth pair."""
        return next(str(one["name"]) for one in self.result["interfaces"] if one["name"].startswith("veth"))

    def inside(self) -> dict[str, Any]:
        """What ``ip`` says of the pod's interface."""
        (link,) = self.host.ip("-details", "addr", "show", self.ifname, netns=self.netns)
        return link

    def _call(self, verb: Verb, plugin: Config) -> PluginCall:
        previous = {"prevResult": self.result} if self.result else {}
        return PluginCall(
            verb=verb,
            type=plugin["type"],
            config={**previous, **plugin},
            container_id=self.container,
            netns=None if self.gone else str(self.netns),
            ifname=self.ifname,
            path=(REFERENCE,),
        )
