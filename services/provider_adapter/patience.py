"""How long an attempt may be silent before it is given up.

Two timers, since one would be wrong in both directions: a comment proves that the line is alive,
but not that the model gets on; and a model that thinks for minutes may send comments only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Each wait has its own end."""

    connect: timedelta = timedelta(seconds=5)
    """For the name, the connection and its TLS."""
    first_byte: timedelta = timedelta(seconds=30)
    """From sending the request until anything comes."""
    silence: timedelta = timedelta(seconds=45)
    """Without any byte, once bytes have come."""
    progress: timedelta = timedelta(seconds=120)
    """Without anything that brings the answer on, though bytes may come."""
    after_finish: timedelta = timedelta(seconds=5)
    """For the usage that follows a finish reason; the answer is whole without it."""
    pulse: timedelta = timedelta(seconds=10)
    """Without anything of ours: then an empty chunk says that the attempt lives."""


ORDINARY = Patience()

THINKING = Patience(first_byte=timedelta(seconds=120), progress=timedelta(seconds=300))
"""For models that think before they speak."""


@dataclass(slots=True)
class Clockwork:
    """What happened when, in seconds of one steady clock."""

    sent: float | None = None
    heard: float | None = None
    """The last byte."""
    progressed: float | None = None
    """The last frame that brought the answer on."""
    finished: float | None = None
    """The finish reason."""

    def lost(self, patience: Patience, now: float) -> str:
        """Why to give up now, in words; empty as long as there is hope."""
        if self.sent is None:
            return ""  # connecting has its own end
        if self.heard is None:
            return _over(self.sent, patience.first_byte, now, "no answer")
        since = self.progressed if self.progressed is not None else self.sent
        return _over(self.heard, patience.silence, now, "silence") or _over(
            since, patience.progress, now, "no progress"
        )

    def enough(self, patience: Patience, now: float) -> bool:
        """Whether the answer is whole and nothing more is worth waiting for."""
        return self.finished is not None and now - self.finished > _seconds(patience.after_finish)


def _over(since: float, limit: timedelta, now: float, what: str) -> str:
    return f"{what} for {now - since:.0f} s" if now - since > _seconds(limit) else ""


def _seconds(span: timedelta) -> float:
    return span.total_seconds()
