"""Chain ids: the names of layers together with everything below them. Pure.

Source: OCI image specification, "Image Configuration", section "Layer ChainID".
"""

from __future__ import annotations

from collections.abc import Sequence

from crishim.image.digest import digest_of


def chain_ids(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """The chain id of each layer, lowest first."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(diff_id if not chain else digest_of(f"{chain[-1]} {diff_id}".encode()))
    return tuple(chain)
