"""How long will it take, and what may it cost? Told before anything is sent.

The account's own rules are played forward on a clock that is only thought: who stands in line goes
first, then the turns asked about, each as soon as places, rate and tokens allow. What an answer
takes is a guess (nobody knows how much a model will say), so the time is one too; tokens and cost
are what it comes to at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush

from contracts.providers import Limits
from services.discussion import admission, spending
from services.discussion.admission import Account
from services.discussion.spending import Spending

FIRST_WORD = timedelta(seconds=2)
PACE = 50
"""Tokens a second that a model writes, taken for usual."""
USUAL = 400
"""Tokens of an answer; where it may be very long, as for models that think, a quarter of that."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A turn that is thought through."""

    tokens: int
    """What it may cost at most."""
    longest: int
    """Tokens that the answer may have."""

    @property
    def takes(self) -> timedelta:
        """From the request to the last word."""
        tokens = min(self.longest, max(USUAL, self.longest // 4))
        return FIRST_WORD + timedelta(seconds=tokens / PACE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An account, as it stands, and who waits for it already."""

    account: Account
    limits: Limits
    """As declared."""
    key: str = ""
    """`key:version`, empty for a provider without keys."""
    ahead: int = 0
    """Turns that go first."""


def takes(line: Line, stages: Sequence[Sequence[Wanted]], now: datetime) -> timedelta | None:
    """Until the last turn has ended, if all of a stage start at the same time, and each stage when
    the one before has ended; None if one of them is more than the account may ever use.
    """
    limits = admission.in_force(line.account, line.limits)
    turns = [turn for stage in stages for turn in stage]
    if any(turn.tokens > limit for turn in turns for limit in _of_tokens(limits)):
        return None
    thought = _Thought(line, limits, now)
    usual = max(turns, key=lambda turn: turn.takes, default=Wanted(0, 0))
    for _ in range(line.ahead):
        thought.run(usual)
    end = now
    for stage in stages:
        end = max([end, *(thought.run(turn) for turn in stage)])
        thought.wait_until(end)
    return end - now


def _of_tokens(limits: Limits) -> list[int]:
    return [limit for limit in (limits.tpm, limits.tpd) if limit is not None]


class _Thought:
    """The account, on its thought clock."""

    def __init__(self, line: Line, limits: Limits, now: datetime) -> None:
        account = line.account
        self._limits = limits
        self._unproven = bool(line.key) and line.key not in account.proven
        health = account.breakers.get(line.key)
        closed = (account.not_before, health.open_until if health is not None else None)
        self._earliest = max([now, *(until for until in closed if until is not None)])
        self._arrival = self._earliest
        if limits.rpm is not None and account.next_slot is not None:
            interval, burst = admission.gcra(limits.rpm)
            self._arrival = min(account.next_slot, now + interval * burst)
        self._spent: Spending = account.spending
        busy = [lease for lease in account.leases if lease.expires_at > now]
        self._running = [self._earliest + Wanted(0, USUAL).takes for _ in busy]
        heapify(self._running)

    def run(self, turn: Wanted) -> datetime:
        """Let it run as soon as it may; when it ends."""
        begins = self._permit(turn, self._place())
        ends = begins + turn.takes
        heappush(self._running, ends)
        # In a line nobody begins before who stands in front, and who proves a key does so alone.
        self._earliest = ends if self._unproven else begins
        self._unproven = False
        return ends

    def wait_until(self, moment: datetime) -> None:
        """Nothing begins before."""
        self._earliest = max(self._earliest, moment)

    def _place(self) -> datetime:
        at = self._earliest
        places = 1 if self._unproven else self._limits.concurrency
        while places is not None and len(self._running) >= places:
            at = max(at, heappop(self._running))
        return at

    def _permit(self, turn: Wanted, at: datetime) -> datetime:
        """When rate and tokens allow it, from `at` on; taken."""
        rpm, tpm, tpd = self._limits.rpm, self._limits.tpm, self._limits.tpd
        if rpm is not None:
            interval, burst = admission.gcra(rpm)
            at = max(at, self._arrival - interval * (burst - 1))
            at = spending.room_for_request(self._spent, rpm, at) or at
        if tpm is not None:
            at = spending.room_in_minute(self._spent, tpm, turn.tokens, at) or at
        if tpd is not None:
            at = spending.room_in_day(self._spent, tpd, turn.tokens, at) or at
        if rpm is not None:
            self._arrival = max(self._arrival, at) + admission.gcra(rpm)[0]
        self._spent = spending.reserve(self._spent, turn.tokens, at)
        return at
