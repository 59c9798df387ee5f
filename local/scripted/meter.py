"""An account's limits, as the provider's own meter keeps them: what is too much is refused.

Whatever is asked counts, also what is refused: a client that insists uses its own minute up.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

_ACCOUNT = "org-f4cef4cef4cef4cef4cef4cef4cef4ce<ak-f4k3f4k3f4k3f4k3f4k3>"


@dataclass
class Meter:
    """Requests of any sliding minute, and those at the same time."""

    rpm: int | None = None
    concurrency: int | None = None
    minute: float = 60.0
    """Seconds; shorter where time is scaled."""
    asked: deque[float] = field(default_factory=deque[float])
    """When, within the last minute."""
    running: int = 0
    """Answers that are being given."""

    def count(self, now: float) -> str:
        """One more request: how it is refused, in the words of a script; empty if it is not."""
        while self.asked and self.asked[0] <= now - self.minute:
            self.asked.popleft()
        self.asked.append(now)
        if self.rpm is not None and len(self.asked) > self.rpm:
            return _refusal(f"max RPM: {self.rpm}")
        if self.concurrency is not None and self.running >= self.concurrency:
            return _refusal(f"max concurrency: {self.concurrency}")
        return ""

    def forget(self) -> None:
        """Begin anew."""
        self.asked.clear()


def _refusal(limit: str) -> str:
    return (
        f"error: 429 rate_limit_reached_error retry-after=1 Your account {_ACCOUNT} request "
        f"reached organization {limit}, please try again after 1 seconds"
    )
