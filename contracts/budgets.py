"""What may be spent: by a workspace, by whoever holds a token, on a discussion, on a run."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct


class BudgetScope(StrEnum):
    WORKSPACE = "workspace"
    TOKEN = "token"  # noqa: S105 - a word, no secret
    """Everything that was asked with one access token."""
    DISCUSSION = "discussion"
    RUN = "run"
    """Everything that one run of a workflow asks."""


class Period(StrEnum):
    DAY = "day"
    """From midnight to midnight in UTC."""
    MONTH = "month"
    TOTAL = "total"
    """Once, for ever."""


class SetBudget(Struct, frozen=True, kw_only=True):
    """`set_budget`: in force from the next request on; answers BudgetView."""

    workspace: str
    scope: BudgetScope
    subject: str = ""
    """Id of the token, discussion or run; empty for the workspace."""
    amount: Decimal
    """USD."""
    period: Period = Period.TOTAL
    strict: bool = False
    """Refuse what has no known price, too."""
    by: str = ""


class RemoveBudget(Struct, frozen=True, kw_only=True):
    """`remove_budget`: from now on it bounds nothing; NotFound if there is none."""

    workspace: str
    scope: BudgetScope
    subject: str = ""
    by: str = ""


class ListBudgets(Struct, frozen=True, kw_only=True):
    """`budgets`: those of the workspace and of tokens; or the one that is named."""

    workspace: str
    scope: BudgetScope | None = None
    subject: str = ""


class BudgetView(Struct, frozen=True, kw_only=True):
    """A budget and how it stands, in USD."""

    scope: BudgetScope
    subject: str = ""
    amount: Decimal
    period: Period
    strict: bool
    spent: Decimal
    """In this period: as measured, else as estimated, else what had been held for it."""
    held: Decimal
    """For requests that are being answered: what they may cost at most."""
    left: Decimal
    unpriced: int = 0
    """Requests of this period whose price is not known: they are in no sum."""
    since: datetime | None = None
    """When the period began."""
    until: datetime | None = None
    """When the next one begins; None: never."""
    set_by: str = ""
    set_at: datetime


class BudgetList(Struct, frozen=True):
    items: list[BudgetView]
