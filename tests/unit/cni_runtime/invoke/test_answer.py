"""From a program's end to an answer or a typed error."""

import errno
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_runtime.call import PluginCall, Verb
from cni_runtime.errors import ErrorCode, PluginError
from cni_runtime.invoke.answer import interpret, start_failure
from cni_runtime.invoke.process import Ended, Killed, Limits

_ADD = PluginCall(verb=Verb.ADD, type="bridge", config={})


def _ended(status: int = 0, stdout: bytes = b"", stderr: bytes = b"", killed: Killed | None = None) -> Ended:
    return Ended(status, stdout, stderr, 0.25, killed)


def _error(ended: Ended, call: PluginCall = _ADD) -> PluginError:
    with pytest.raises(PluginError) as caught:
        interpret(call, ended, Limits(timeout=1.5))
    return caught.value


def test_the_object_on_standard_output_is_the_answer() -> None:
    assert interpret(_ADD, _ended(stdout=b' {"ips": []}\n', stderr=b"warning"), Limits()) == {"ips": []}


@pytest.mark.parametrize("verb", [Verb.DEL, Verb.CHECK, Verb.GC, Verb.STATUS])
def test_verbs_without_an_answer_ignore_standard_output(verb: Verb) -> None:
    assert interpret(PluginCall(verb=verb, type="x", config={}), _ended(stdout=b"noise"), Limits()) is None


@pytest.mark.parametrize(
    ("stdout", "message"),
    [
        (b"", "no JSON"),
        (b"Segmentation fault", "Segmentation fault"),
        (b"[1]", "no object"),
        (b'{"a": 1} trailing', "no JSON"),
        (b"\xff\xfe{", r"\\xff"),
        (b"[" * 100_000, "no JSON"),
    ],
)
def test_garbage_is_a_decoding_failure_with_an_excerpt(stdout: bytes, message: str) -> None:
    error = _error(_ended(stdout=stdout))
    assert error.code == ErrorCode.DECODING_FAILURE
    assert message in str(error)
    assert len(str(error)) < 1500


def test_the_error_object_of_the_plugin_is_taken_over() -> None:
    error = _error(
        _ended(1, b'{"cniVersion":"1.0.0","code":101,"msg":"no free address","details":"10.1.0.0/24"}', b"log")
    )
    assert (error.code, error.message, error.details) == (101, error.message, "10.1.0.0/24")
    assert str(error) == "plugin bridge ADD (250.0 ms): no free address: 10.1.0.0/24"
    assert (error.plugin, error.verb, error.exit_code, error.signal, error.stderr) == ("bridge", "ADD", 1, None, "log")


def test_an_error_object_without_a_code_is_an_internal_error() -> None:
    assert _error(_ended(1, b'{"msg":"broken"}')).code == ErrorCode.INTERNAL


@pytest.mark.parametrize("code", [0, -5, 2**32, 10**30])
def test_a_code_that_is_none_is_an_internal_error(code: int) -> None:
    error = _error(_ended(1, b'{"msg":"broken","code":%d}' % code))
    assert (error.code, error.reason) == (ErrorCode.INTERNAL, "broken")


@pytest.mark.parametrize("stdout", [b"", b" \n"])
def test_a_silent_failure_tells_status_and_standard_error(stdout: bytes) -> None:
    error = _error(_ended(3, stdout, b"panic: oops\n"))
    assert str(error).endswith("exited with status 3 without an error message: stderr: panic: oops")
    assert (error.code, error.exit_code) == (ErrorCode.INTERNAL, 3)


@pytest.mark.parametrize("stdout", [b"oops", b'{"code": 7}', b'{"msg": 5}', b'{"code": "x", "msg": "m"}'])
def test_a_failure_with_something_else_on_standard_output_shows_it(stdout: bytes) -> None:
    error = _error(_ended(1, stdout))
    assert (error.code, error.exit_code) == (ErrorCode.DECODING_FAILURE, 1)
    assert stdout.decode() in error.details


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGSEGV, "SIGSEGV"), (signal.SIGKILL, "SIGKILL"), (40, "signal 40")]
)
def test_death_by_a_signal_is_named(number: int, name: str) -> None:
    error = _error(_ended(-number))
    assert f"died of {name} without" in str(error)
    assert (error.signal, error.exit_code) == (number, None)


def test_a_timeout_tells_the_limit_and_what_was_said() -> None:
    error = _error(_ended(-9, stderr=b"waiting for lock", killed=Killed.TIMEOUT))
    assert str(error).endswith("did not end within 1.5 s and was killed: stderr: waiting for lock")


def test_too_much_output_is_a_decoding_failure() -> None:
    error = _error(_ended(-9, b"y\n" * 1000, killed=Killed.OUTPUT), PluginCall(verb=Verb.DEL, type="x", config={}))
    assert error.code == ErrorCode.DECODING_FAILURE
    assert "more than 1048576 bytes" in str(error)


@given(st.binary(), st.integers(-64, 255), st.sampled_from(Verb))
def test_any_end_gives_an_object_nothing_or_a_plugin_error(stdout: bytes, status: int, verb: Verb) -> None:
    try:
        answer = interpret(PluginCall(verb=verb, type="x", config={}), _ended(status, stdout), Limits())
    except PluginError:
        return
    assert status == 0
    assert answer is None or isinstance(answer, dict)


@pytest.mark.parametrize(
    ("number", "words", "code"),
    [
        (errno.EACCES, "not executable", ErrorCode.IO_FAILURE),
        (errno.ENOENT, "interpreter", ErrorCode.IO_FAILURE),
        (errno.ENOEXEC, "#! line", ErrorCode.IO_FAILURE),
        (errno.ETXTBSY, "being replaced", ErrorCode.TRY_AGAIN_LATER),
        (errno.EMFILE, os.strerror(errno.EMFILE), ErrorCode.IO_FAILURE),
    ],
)
def test_a_program_that_cannot_start_is_named_with_the_reason(number: int, words: str, code: ErrorCode) -> None:
    error = start_failure(_ADD, Path("/opt/cni/bin/bridge"), OSError(number, os.strerror(number)))
    assert "cannot run /opt/cni/bin/bridge: " in str(error)
    assert words in str(error)
    assert error.code == code
