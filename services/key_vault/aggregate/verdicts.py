"""What was found out about a key by asking its provider."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.failures import Balance, Evidence


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took it."""

    models: int = 0
    balance: Balance | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """The provider said in its own words that this key is not good."""

    reason: str
    next_step: str
    evidence: Evidence = Evidence()


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The provider could not be asked, or what it said is not about the key."""

    reason: str
    next_step: str
    evidence: Evidence = Evidence()


Verdict = Accepted | Denied | NoAnswer
