"""The filter of system calls, run by an interpreter of the few instructions that it has."""

from __future__ import annotations

import errno
import struct

import pytest

from crishim.drivers.infra.system_calls import ALLOWED, SUPPORTED, program

X86_64, I386, AARCH64 = 0xC000003E, 0x40000003, 0xC00000B7
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.ENOSYS


def decide(filter_program: bytes, architecture: int, number: int) -> int:
    instructions = list(struct.iter_unpack("=HBBI", filter_program))
    position = accumulator = 0
    while True:
        code, when_true, when_false, operand = instructions[position]
        position += 1
        match code:
            case 0x20:
                accumulator = {0: number, 4: architecture}[operand]
            case 0x15:
                position += when_true if accumulator == operand else when_false
            case 0x06:
                return int(operand)


@pytest.mark.parametrize(
    ("machine", "architecture", "number"),
    [("x86_64", X86_64, 0), ("x86_64", X86_64, 59), ("x86_64", X86_64, 436), ("aarch64", AARCH64, 221)],
    ids=["read", "execve", "close_range", "execve-aarch64"],
)
def test_what_it_needs_is_allowed(machine: str, architecture: int, number: int) -> None:
    assert decide(program(machine), architecture, number) == ALLOW


@pytest.mark.parametrize(
    ("machine", "architecture", "number"),
    [
        ("x86_64", X86_64, 2),  # open
        ("x86_64", X86_64, 47),  # recvmsg
        ("x86_64", X86_64, 116),  # setgroups, whose number is known
        ("x86_64", X86_64, 317),  # seccomp
        ("x86_64", X86_64, 0x40000000),  # read, of x32
        ("x86_64", I386, 3),  # read, of i386
        ("aarch64", AARCH64, 56),  # openat
        ("aarch64", X86_64, 63),
    ],
)
def test_all_else_is_refused(machine: str, architecture: int, number: int) -> None:
    assert decide(program(machine), architecture, number) == REFUSE


@pytest.mark.parametrize("machine", SUPPORTED)
def test_every_call_that_is_named_has_a_way_to_be_allowed(machine: str) -> None:
    instructions = list(struct.iter_unpack("=HBBI", program(machine)))
    assert len(instructions) <= len(ALLOWED) + 6
    assert all(position + when_true < len(instructions) for position, (_, when_true, _, _) in enumerate(instructions))


@pytest.mark.parametrize(
    "call", ["open", "openat", "recvmsg", "recvmmsg", "io_uring_setup", "seccomp", "socket", "memfd_create"]
)
def test_nothing_that_brings_a_descriptor_of_a_file_is_named(call: str) -> None:
    assert call not in ALLOWED
