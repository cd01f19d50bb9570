"""How far the paths of one layer may lead, all together. An honest layer never comes near it."""

from __future__ import annotations

from crishim.image.errors import LimitError


class Steps:
    """Counts the directories that are gone through, in the layer being made and in those below; ``most`` may be."""

    def __init__(self, most: int) -> None:
        self._left = most

    def take(self) -> None:
        """One step more; raises LimitError when it is one too many."""
        self._left -= 1
        if self._left < 0:
            raise LimitError("layer: the paths of its entries lead through more directories than allowed")
