"""What the end of a request means for the bill. Pure.

A request that was made may have been billed, however it ended. So each end has a number and says
which kind it is: measured (the provider's own), estimated (three bytes a token, ours) or unknown.
What is not known counts against budgets as what was held for it, never as nothing; only a request
that was turned down, with an error instead of an answer, is estimated to have cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from msgspec.structs import replace

from contracts.discussion_events import AttemptCut, AttemptFailed, TurnCompleted
from contracts.prices import Cost, Price
from contracts.stream import ProviderError, StreamCompleted, Usage, UsageStatus
from contracts.usage import Ending
from services.discussion.pricing import cost

REFUSED = 400
"""HTTP statuses from here on are answers that no model gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A request in the ledger, as far as its bill goes."""

    price: Price | None
    question: int
    """Tokens of the question, as estimated."""
    held: Decimal | None
    """USD that were held for it; None: it has no price."""
    status: str
    """`open`, `unsent`, or the status of its usage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What it came to."""

    ended: Ending
    usage: Usage
    cost: Cost | None
    charged: Decimal
    """USD, to the budgets."""
    sent: bool = True

    @property
    def status(self) -> str:
        return self.usage.status.value if self.sent else "unsent"


def settled(entry: Entry, end: TurnCompleted | AttemptFailed | AttemptCut | None) -> Settled:
    """What the end comes to; None: it was given up while it ran, and nobody knows more yet."""
    match end:
        case TurnCompleted():
            return _settled(entry, Ending.ANSWERED, end.usage)
        case AttemptFailed(sent=False):
            return _never_sent(Ending.FAILED)
        case AttemptFailed():
            if turned_down(end):
                return _for_nothing(Ending.FAILED)
            return _settled(entry, Ending.FAILED, end.usage)
        case AttemptCut():
            return _settled(entry, Ending.CUT, end.usage)
        case None:
            return _settled(entry, Ending.CANCELLED, Usage())


def corrected(
    entry: Entry, ended: Ending, outcome: StreamCompleted | ProviderError
) -> Settled | None:
    """What a late outcome makes of it; None if nothing better is known now than was before."""
    if entry.status in {"open", "unsent", UsageStatus.MEASURED.value}:
        return None
    if isinstance(outcome, ProviderError) and not outcome.sent:
        return _never_sent(ended)
    unknown = entry.status == UsageStatus.UNKNOWN.value
    if unknown and isinstance(outcome, ProviderError) and turned_down(outcome):
        return _for_nothing(ended)
    told = outcome.usage.status
    better = told is UsageStatus.MEASURED or (told is UsageStatus.ESTIMATED and unknown)
    return _settled(entry, ended, outcome.usage) if better else None


def turned_down(end: AttemptFailed | ProviderError) -> bool:
    """The provider answered with an error instead of an answer: nothing was generated."""
    status = end.evidence.status
    nothing = not end.text and not end.reasoning and end.usage.status is UsageStatus.UNKNOWN
    return nothing and status is not None and status >= REFUSED


def _settled(entry: Entry, ended: Ending, usage: Usage) -> Settled:
    usage = _believable(usage)
    if usage.status is UsageStatus.ESTIMATED and not usage.input_tokens:
        usage = replace(usage, input_tokens=entry.question)
    paid = cost(entry.price, usage)
    if paid is not None:
        charged = paid.amount
    elif usage.status is UsageStatus.UNKNOWN and entry.held is not None:
        charged = entry.held
    else:
        charged = Decimal(0)
    return Settled(ended=ended, usage=usage, cost=paid, charged=charged)


def _for_nothing(ended: Ending) -> Settled:
    usage = Usage(status=UsageStatus.ESTIMATED)
    return Settled(ended=ended, usage=usage, cost=Cost(amount=Decimal(0)), charged=Decimal(0))


def _never_sent(ended: Ending) -> Settled:
    return Settled(ended=ended, usage=Usage(), cost=None, charged=Decimal(0), sent=False)


MOST = 2**40
"""Tokens of one request: more is a mistake of whoever counted."""


def _believable(usage: Usage) -> Usage:
    """Numbers that cannot be are no numbers: nothing is ever credited."""
    counts = (
        usage.input_tokens,
        usage.output_tokens,
        usage.reasoning_tokens or 0,
        usage.cached_tokens or 0,
    )
    return usage if all(0 <= count <= MOST for count in counts) else Usage()
