"""How a test makes a fake fail."""

from __future__ import annotations


class Failures(dict[str, Exception]):
    """Exceptions by the name of the method that is to raise them, until they are taken out again."""

    def strike(self, method: str) -> None:
        """Raise what is set for ``method``, if anything is."""
        if error := self.get(method):
            raise error
