"""The provider's own meter, as plainly as it can be written: it keeps every request and counts.

What admission keeps is small and clever; this is neither, and the two are held against each other.
Times are real ones: how far the database's clock is moved is none of the provider's business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from contracts.providers import Limits

MINUTE = timedelta(seconds=60)


@dataclass(frozen=True)
class Request:
    attempt: str
    permitted: datetime
    arrives: datetime
    """Up to two seconds after its permit."""
    tokens: int
    limits: Limits
    """In force when it was permitted."""


@dataclass
class Meter:
    """All requests of one account."""

    requests: list[Request] = field(default_factory=list[Request])
    running: set[str] = field(default_factory=set[str])
    leaps: list[datetime] = field(default_factory=list[datetime])
    """When the clock was put forward. A minute that it jumps over has passed for all who go by it,
    so the minute around a leap may hold as much again."""

    def check(self, request: Request) -> None:
        """This one is about to be permitted: it must fit, however the others have travelled."""
        of_minute = [
            earlier
            for earlier in self.requests
            if request.permitted - MINUTE < earlier.permitted <= request.permitted
        ]
        limits, leaps = request.limits, self._leaps(request.permitted)
        if limits.rpm is not None and not leaps:
            assert len(of_minute) < limits.rpm, "a request too many"
        if limits.tpm is not None and not leaps:
            spent = sum(earlier.tokens for earlier in of_minute)
            assert spent + request.tokens <= limits.tpm, "too many tokens"
        if limits.concurrency is not None:
            assert len(self.running) < limits.concurrency, "too many at a time"

    def note(self, request: Request) -> None:
        self.check(request)
        self.requests.append(request)
        self.running.add(request.attempt)
        self._count(request)

    def never_sent(self, attempt: str) -> None:
        self.requests = [each for each in self.requests if each.attempt != attempt]
        self.running.discard(attempt)

    def _count(self, newest: Request) -> None:
        """No sliding minute that has `newest` in it holds more than the account may make."""
        near = sorted(
            (each for each in self.requests if abs(each.arrives - newest.arrives) < MINUTE),
            key=lambda each: each.arrives,
        )
        for first in range(len(near)):
            window = [each for each in near[first:] if each.arrives - near[first].arrives < MINUTE]
            more = 1 + self._leaps(max(each.permitted for each in window))
            rpms = [each.limits.rpm for each in window]
            tpms = [each.limits.tpm for each in window]
            assert None in rpms or len(window) <= more * max(rpm for rpm in rpms if rpm)
            spent = sum(each.tokens for each in window)
            assert None in tpms or spent <= more * max(tpm for tpm in tpms if tpm)

    def _leaps(self, moment: datetime) -> int:
        """In the minute before `moment`, the two seconds of the way included."""
        return sum(1 for leap in self.leaps if moment - MINUTE * 1.1 < leap <= moment)
