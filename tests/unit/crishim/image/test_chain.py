"""Chain ids, with an example that can be calculated by hand."""

from __future__ import annotations

import hashlib

from crishim.image.chain import chain_ids


def test_chain_ids() -> None:
    first, second = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    above = "sha256:" + hashlib.sha256(f"{first} {second}".encode()).hexdigest()
    assert chain_ids([first, second]) == (first, above)
    assert chain_ids([]) == ()
