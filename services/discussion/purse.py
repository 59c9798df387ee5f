"""Does a request fit into what may be spent? Pure: amounts and time are arguments.

Before a request is made, what it may cost at most is held against every budget that bounds it, so
however many run at the same time, together they cannot come to more than was allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from contracts.budgets import BudgetScope, Period

OF_THE_WORK = frozenset({BudgetScope.DISCUSSION, BudgetScope.RUN})
"""Nothing comes back into these by itself: when one is used up, the work ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """A budget as it stands, in USD."""

    scope: BudgetScope
    subject: str
    amount: Decimal
    period: Period
    strict: bool
    spent: Decimal
    held: Decimal
    until: datetime | None
    """When its next period begins."""

    @property
    def left(self) -> Decimal:
        return self.amount - self.spent - self.held


@dataclass(frozen=True, slots=True, kw_only=True)
class Short:
    """A budget that a request does not fit into."""

    purse: Purse
    need: Decimal | None
    """USD at most; None: its price is not known, and the budget is strict."""

    @property
    def passes(self) -> bool:
        """It would fit once those that are being answered turn out to cost less than is held."""
        purse = self.purse
        return self.need is not None and purse.held > 0 and self.need <= purse.amount - purse.spent

    @property
    def ends_the_work(self) -> bool:
        return self.purse.scope in OF_THE_WORK


def span(period: Period, now: datetime) -> tuple[datetime | None, datetime | None]:
    """From when to when the period lasts that `now` is in; None where it never began or ends."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case Period.DAY:
            return midnight, midnight + timedelta(days=1)
        case Period.MONTH:
            first = midnight.replace(day=1)
            return first, (first + timedelta(days=32)).replace(day=1)
        case Period.TOTAL:
            return None, None


def short(purses: Iterable[Purse], need: Decimal | None) -> Short | None:
    """The budget that stands most firmly against it, or None: it fits."""
    against = [Short(purse=purse, need=need) for purse in purses if not _fits(purse, need)]
    # Which will not give way by itself comes first, and of those the one that ends the work.
    return min(against, key=lambda each: (each.passes, not each.ends_the_work), default=None)


def _fits(purse: Purse, need: Decimal | None) -> bool:
    if need is None:
        return not purse.strict
    return need == 0 or need <= purse.left
