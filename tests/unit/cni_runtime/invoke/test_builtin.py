from __future__ import annotations

import logging

import pytest

from cni_runtime.call import PluginCall, Verb
from cni_runtime.errors import CniError, ConfigError, ErrorCode, PluginError
from cni_runtime.invoke.builtin import BuiltinInvoker
from cni_runtime.invoke.choose import ChoosingInvoker, Mode
from cni_runtime.plugins.base import Context, Plugin
from cni_runtime.result import IPConfig, Result
from cni_runtime.testing.invoker import FakeInvoker
from cni_runtime.versions import SUPPORTED

pytestmark = pytest.mark.anyio


class Scripted(Plugin):
    """Gives an address, or raises."""

    type = "scripted"

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.verbs: list[Verb] = []

    async def _verb(self, call: PluginCall) -> None:
        self.verbs.append(call.verb)
        if self.failure:
            raise self.failure

    async def add(self, call: PluginCall, context: Context) -> Result:
        await self._verb(call)
        return Result(ips=(IPConfig(address="10.1.0.5/24"),))

    async def delete(self, call: PluginCall, context: Context) -> None:
        await self._verb(call)


def call(verb: Verb = Verb.ADD, plugin: str = "scripted", version: str = "1.0.0") -> PluginCall:
    return PluginCall(verb=verb, type=plugin, config={"cniVersion": version, "name": "net", "type": plugin})


def invoker(failure: Exception | None = None) -> BuiltinInvoker:
    return BuiltinInvoker(plugins={"scripted": Scripted(failure)})


@pytest.mark.parametrize("version", SUPPORTED)
async def test_the_result_is_of_the_configurations_version(version: str) -> None:
    answer = await invoker().invoke(call(version=version))
    assert answer is not None
    assert answer["cniVersion"] == version
    assert ("ip4" in answer) == (version in ("0.1.0", "0.2.0"))


async def test_version_and_verbs_without_answer() -> None:
    answer = await invoker().invoke(call(Verb.VERSION))
    assert answer == {"cniVersion": "1.0.0", "supportedVersions": list(SUPPORTED)}
    for verb in (Verb.DEL, Verb.CHECK, Verb.GC, Verb.STATUS):
        assert await invoker().invoke(call(verb)) is None


@pytest.mark.parametrize(
    ("failure", "code", "text"),
    [
        (ConfigError("bad", details="mtu"), ErrorCode.INVALID_NETWORK_CONFIG, "bad: mtu"),
        (FileNotFoundError(2, "gone", "/ns"), ErrorCode.IO_FAILURE, "gone: '/ns'"),
        (ZeroDivisionError("oops"), ErrorCode.INTERNAL, "internal error: oops"),
        (
            PluginError("full", plugin="ipam", verb="ADD", code=11, details="d"),
            11,
            r"plugin ipam ADD \(0\.0 ms\): full",
        ),
    ],
)
async def test_every_failure_names_plugin_verb_and_time(failure: Exception, code: int, text: str) -> None:
    logging.disable(logging.CRITICAL)
    with pytest.raises(PluginError, match=rf"plugin scripted ADD \([\d.]+ ms\): .*{text}") as caught:
        await invoker(failure).invoke(call())
    logging.disable(logging.NOTSET)
    assert (caught.value.code, caught.value.plugin) == (code, "scripted")
    assert str(caught.value).count("d") < 30


async def test_notes_of_an_undo_are_told() -> None:
    failure = CniError("no")
    failure.add_note("undo of x: y")
    with pytest.raises(PluginError, match="no: undo of x: y"):
        await invoker(failure).invoke(call())


async def test_an_unknown_version_and_an_unknown_type() -> None:
    with pytest.raises(PluginError, match=r"unknown CNI version '9\.0\.0'"):
        await invoker().invoke(call(version="9.0.0"))
    with pytest.raises(PluginError, match="no built-in plugin") as caught:
        await invoker().invoke(call(plugin="dhcp"))
    assert (caught.value.code, caught.value.nothing_done) == (ErrorCode.PLUGIN_NOT_AVAILABLE, True)


@pytest.mark.parametrize("nothing_done", [True, False])
async def test_that_nothing_was_done_is_passed_on(nothing_done: bool) -> None:
    failure = PluginError("not found", plugin="ipam", verb="ADD", nothing_done=nothing_done)
    with pytest.raises(PluginError) as caught:
        await invoker(failure).invoke(call())
    assert caught.value.nothing_done is nothing_done


@pytest.mark.parametrize(
    ("mode", "types", "builtin"),
    [
        (Mode.AUTO, {}, {"bridge": True, "dhcp": False}),
        (Mode.EXEC, {}, {"bridge": False, "dhcp": False}),
        (Mode.BUILTIN, {}, {"bridge": True, "dhcp": True}),
        (Mode.EXEC, {"bridge": Mode.AUTO}, {"bridge": True, "host-local": False}),
        (Mode.AUTO, {"bridge": Mode.EXEC}, {"bridge": False, "host-local": True}),
    ],
)
async def test_which_plugins_are_built_in(mode: Mode, types: dict[str, Mode], builtin: dict[str, bool]) -> None:
    choosing = ChoosingInvoker(FakeInvoker(), mode=mode, types=types)
    assert {plugin: choosing.is_builtin(plugin) for plugin in builtin} == builtin


async def test_calls_go_where_they_were_chosen_to() -> None:
    executable = FakeInvoker()
    choosing = ChoosingInvoker(executable)
    await choosing.invoke(call(Verb.VERSION, "dhcp"))
    await choosing.invoke(call(Verb.VERSION, "bridge"))
    assert executable.verbs() == ["VERSION dhcp"]
    await choosing.aclose()


class Asked(dict[str, Plugin]):
    """Plugins that are made when somebody asks for them."""

    def __missing__(self, plugin: str) -> Plugin:
        return self.setdefault(plugin, Scripted())

    def get(self, plugin: str, default: object = None) -> Plugin:
        return self[plugin]


async def test_prepares_what_runs_built_in() -> None:
    plugins = Asked()
    choosing = ChoosingInvoker(FakeInvoker(), mode=Mode.EXEC, types={"bridge": Mode.BUILTIN}, plugins=plugins)
    choosing.prepare(["bridge", "portmap"])
    assert list(plugins) == ["bridge"]
