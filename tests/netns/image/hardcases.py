"""Layers with everything that is hard about unpacking, for us and for others."""

from __future__ import annotations

import struct

from crishim.testing.images import (
    Member,
    device,
    directory,
    fifo,
    file,
    hard_link,
    opaque,
    symlink,
    whiteout,
    with_xattr,
)

CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)  # cap_net_raw+ep, as setcap writes it
LONG = "/".join(["long"] + ["n" * 200] * 3)

BASE: list[Member] = [
    directory("./", mode=0o755),
    directory("usr", mode=0o755),
    directory("usr/lib"),
    symlink("lib", "usr/lib"),
    symlink("abs", "/usr/lib"),
    directory("etc", mode=0o750, uid=5, gid=6),
    file("etc/passwd", b"root:x:0:0::/:/bin/sh\n"),
    file("etc/shadow", b"secret", mode=0o640, gid=42),
    directory("bin"),
    file("bin/su", b"\x7fELF", mode=0o4755),
    file("bin/wall", b"\x7fELF", mode=0o2755, gid=5),
    with_xattr(file("bin/ping", b"\x7fELF", mode=0o755), security_capability=CAPABILITY, user_note="höhe".encode()),
    directory("tmp", mode=0o1777),
    directory("dev"),
    device("dev/null", 1, 3, mode=0o666),
    device("dev/sda", 8, 0, is_block=True),
    fifo("dev/pipe"),
    directory("data"),
    file("data/a", b"a" * 5000),
    hard_link("data/b", "data/a"),
    hard_link("data/c", "./data/b"),
    symlink("data/dangling", "nowhere/at/all"),
    symlink("data/out", "../../../../etc/passwd"),
    directory("gone"),
    file("gone/x", b"x"),
    directory("gone/deep"),
    file("gone/deep/y", b"y"),
    directory("emptied", mode=0o700, uid=9),
    file("emptied/old", b"old"),
    directory("emptied/olddir"),
    directory("replaced"),
    file("replaced/inside", b"1"),
    file("turned", b"file"),
    file("odd \t\n\\ name", b"odd"),
    file("ünï", b"unicode"),
    directory(LONG),
    file(f"{LONG}/{'f' * 255}", b"long"),
    file("huge-ids", b"", uid=3_000_000_000, gid=4_000_000_000),
    file("big", bytes(range(256)) * 20_000),
]

CHANGES: list[Member] = [
    file("etc/passwd", b"root:x:0:0::/root:/bin/bash\n"),
    whiteout("gone"),
    opaque("emptied"),
    file("emptied/new", b"new"),
    file("replaced", b"now a file"),
    directory("turned", mode=0o711),
    file("turned/inside", b"2"),
    file("lib/through-a-link.so", b"so"),
    file("abs/through-an-absolute-link.so", b"so"),
    hard_link("data/d", "data/a"),
    whiteout("data/dangling"),
    file("etc/deep/er/file", b"parents that are not listed"),
    file("implicit/parent/file", b"new parents"),
    file("twice", b"first"),
    file("twice", b"second"),
    symlink("twice-link", "a"),
    symlink("twice-link", "b"),
]

AGAIN: list[Member] = [
    directory("gone", mode=0o755),
    file("gone/back", b"again"),
    whiteout("implicit/parent"),
    whiteout("never-there"),
    whiteout("usr/lib/through-a-link.so"),
    file("data/a", b"a new file of the old name"),
    directory("emptied", mode=0o755, uid=3),
]

LAYERS = (BASE, CHANGES, AGAIN)
