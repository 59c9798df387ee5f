"""What every request to a provider has cost, and how it is asked for.

One fact for each request that was made, or may have been: answered, failed, cut and given up alike,
since providers bill those too. It says which kind of number it is: counted by the provider, counted
by us, or not known. Adding them up without looking at that would make a guess look like a bill.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from contracts.event import Event
from contracts.prices import Cost
from contracts.stream import Usage


class Ending(StrEnum):
    """How the request ended."""

    ANSWERED = "answered"
    FAILED = "failed"
    CUT = "cut"
    """Whoever made the request was gone."""
    CANCELLED = "cancelled"
    """Nobody waited for it any more."""


class _OneRequest(Event, frozen=True, kw_only=True):
    workspace: str
    discussion: str
    turn: str
    attempt: str
    provider: str
    model: str
    """Without its provider."""
    ended: Ending
    usage: Usage
    cost: Cost | None = None
    """None where the price or the usage is not known."""
    price_read: str = ""
    """Day the price was read that `cost` was reckoned by."""
    day: str = ""
    """The day, in UTC, that it is counted to: that of its end."""
    persona: str = ""
    token: str = ""
    """Who had opened the discussion."""
    run: str = ""
    """The run of a workflow that the discussion is a step of."""


class UsageRecorded(_OneRequest, frozen=True, kw_only=True, tag="discussion.usage_recorded.v1"):
    """Stated exactly once for each request, with its end; never for one proven not to be made."""


class UsageCorrected(_OneRequest, frozen=True, kw_only=True, tag="discussion.usage_corrected.v1"):
    """The provider's word came after the end had been stated: this replaces what was recorded."""

    sent: bool = True
    """False: it turned out that no request was made; nothing of it counts."""


# --- What may be asked: parley.cmd.discussion.<verb> ----------------------------------------


class Grouping(StrEnum):
    DAY = "day"
    MODEL = "model"
    PERSONA = "persona"
    TOKEN = "token"  # noqa: S105 - a word, no secret


class AskUsage(Struct, frozen=True, kw_only=True):
    """`usage`: what was used from one day to another, both included; answers UsageReport."""

    workspace: str
    since: str
    """A day in UTC, `2026-11-01`."""
    until: str
    by: Grouping = Grouping.DAY


class Sum(Struct, frozen=True, kw_only=True):
    """Requests of one kind of number, added up."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    """Among the output."""
    cached_tokens: int = 0
    """Among the input."""
    costs: list[Cost] = []
    """One for each currency: they are never added to one another."""
    unpriced: int = 0
    """Requests whose cost is not known, in none of the sums of money."""


class UsageLine(Struct, frozen=True, kw_only=True):
    key: str
    """The day, `provider/model`, persona's slug (empty: a bare model) or token's id."""
    measured: Sum
    """As the providers counted."""
    estimated: Sum
    """As we counted, three bytes a token: what the provider counted never arrived."""
    unknown: Sum
    """Requests that may have been billed, and nobody knows how much."""


class UsageReport(Struct, frozen=True, kw_only=True):
    since: str
    until: str
    by: Grouping
    items: list[UsageLine]
    total: UsageLine
