"""What is to be reached, and whether it is."""

from __future__ import annotations

from msgspec import Struct


class Goal(Struct, frozen=True):
    """The most that something may be: ``of_peer`` times what the peer has, or ``absolute``."""

    of_peer: float = 0
    absolute: float = 0

    def text(self) -> str:
        """For a table."""
        return f"≤ {self.of_peer:.3g} of peer" if self.of_peer else f"≤ {self.absolute:g}"

    def met(self, ours: float, theirs: float) -> bool:
        """Whether ``ours`` is good enough."""
        return ours <= (self.of_peer * theirs if self.of_peer else self.absolute)


# Milliseconds, for one at a time.
TIMES = {
    "CreatePod": Goal(of_peer=1 / 10),
    "StatusPod": Goal(absolute=0.6),
    "StopPod": Goal(of_peer=1 / 15),
    "RemovePod": Goal(of_peer=1 / 8),
    "Create + Start": Goal(of_peer=1 / 3),
    "StopContainer": Goal(of_peer=1 / 3),
    "RemoveContainer": Goal(of_peer=1),
}

# MiB
WITH_PODS, WITH_MORE, PER_POD = "10 idle pods", "20 idle pods", "per pod"
MEMORY = {WITH_PODS: Goal(absolute=60), PER_POD: Goal(absolute=0.6)}

# Milliseconds, 95th percentile
POLLING = Goal(absolute=10)
