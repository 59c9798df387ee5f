"""What people may send about costs: from when to when, and how much may be spent."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from contracts.budgets import Period
from contracts.usage import Grouping
from services.edge.bodies import Amount, Body

SPAN = timedelta(days=29)
"""Before the last day, where nobody says from when: 30 days in all."""

LONGEST = timedelta(days=3_660)


class UsageQuery(BaseModel):
    """Which days, and by what they are added up."""

    model_config = ConfigDict(
        extra="ignore", hide_input_in_errors=True, frozen=True, populate_by_name=True
    )

    from_: Annotated[date | None, Field(alias="from")] = None
    """First day, in UTC, e.g. `2026-11-01`; left out: 30 days in all."""
    to: date | None = None
    """Last day; left out: today."""
    by: Grouping = Grouping.DAY

    @model_validator(mode="after")
    def _in_order(self) -> UsageQuery:
        since, until = self.days(datetime.now(UTC).date())
        if not timedelta(0) <= until - since <= LONGEST:
            raise PydanticCustomError(
                "days", "from is a day not after to, and not more than ten years before it"
            )
        return self

    def days(self, today: date) -> tuple[date, date]:
        """First and last day."""
        until = self.to or (max(today, self.from_) if self.from_ else today)
        return self.from_ or max(date.min + SPAN, until) - SPAN, until


class BudgetBody(Body):
    """How much may be spent."""

    amount: Amount
    """USD."""
    period: Annotated[Period, Field(strict=False)] = Period.MONTH
    """`day` and `month` are those of UTC; `total`: once, for ever."""
    strict: bool = False
    """Refuse models whose price is not known, too; else they are counted apart."""
