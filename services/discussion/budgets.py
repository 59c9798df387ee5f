"""Budgets: what people have allowed, what is spent and held of it, what is said when it is short.

Only what was allowed is written down here. What is spent and held is read from the ledger, so it
cannot drift from it; the rows are locked while a request is admitted, so two requests cannot both
take the last of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import ROUND_FLOOR, Decimal
from typing import cast

import asyncpg

from contracts.budgets import (
    BudgetList,
    BudgetScope,
    BudgetView,
    ListBudgets,
    Period,
    RemoveBudget,
    SetBudget,
)
from contracts.discussion_events import DiscussionOpened
from contracts.failures import Failure, FailureClass, NotFound, OverBudget
from contracts.stream import Usage, UsageStatus
from services.discussion import ledger, planning
from services.discussion.ledger import Worst
from services.discussion.pricing import cost
from services.discussion.purse import OF_THE_WORK, Purse, Short, short, span
from services.discussion.sql import SQL
from shared.database import Connection

BEGINNING = date(1970, 1, 1)

# --- May it be spent? -----------------------------------------------------------------------


async def stands_against(
    conn: Connection, opened: DiscussionOpened, worst: Worst, now: datetime
) -> Short | None:
    """Which budget a request does not fit into. All that bound it are held from here on."""
    who = (opened.workspace, opened.opened_by, opened.discussion, opened.run)
    rows = await conn.fetch(SQL["hold_budgets"], *who)
    return short([await _purse(conn, row, now) for row in rows], worst.amount)


async def allow(
    conn: Connection,
    workspace: str,
    scope: BudgetScope,
    subject: str,
    amount: Decimal,
    now: datetime,
    *,
    period: Period = Period.TOTAL,
    strict: bool = False,
    by: str = "",
) -> None:
    """So much may be spent from now on."""
    await conn.execute(
        SQL["set_budget"],
        workspace,
        scope.value,
        subject,
        amount,
        period.value,
        strict,
        by,
        now,
    )


async def check(conn: Connection, opened: DiscussionOpened, now: datetime) -> None:
    """OverBudget if it does not fit into what is left. Nothing is held yet: each request is, when
    it is made.

    The house must have room for all that the mode plans. The work's own budget is what it ends at,
    with what it has by then: those who speak first must fit.
    """
    stages = planning.stages(opened)
    first, whole = stages[0], [each for stage in stages for each in stage]
    who = (opened.workspace, opened.opened_by, opened.discussion, opened.run)
    purses = [await _purse(conn, row, now) for row in await conn.fetch(SQL["bounds"], *who)]
    if opened.budget is not None:
        purses.append(_of_discussion(opened, opened.budget))
    for part, bounding in (
        (first, [purse for purse in purses if purse.scope in OF_THE_WORK]),
        (whole, [purse for purse in purses if purse.scope not in OF_THE_WORK]),
    ):
        amounts = [each.amount for each in part]
        if None in amounts and (strict := short(bounding, None)) is not None:
            raise _over(strict, part)
        known = sum((amount for amount in amounts if amount is not None), Decimal(0))
        if (against := short(bounding, known)) is not None:
            raise _over(against, part if len(stages) == 1 else [])


def _of_discussion(opened: DiscussionOpened, amount: Decimal) -> Purse:
    return Purse(
        scope=BudgetScope.DISCUSSION,
        subject=opened.discussion,
        amount=amount,
        period=Period.TOTAL,
        strict=False,
        spent=Decimal(0),
        held=Decimal(0),
        until=None,
    )


# --- Verbs ----------------------------------------------------------------------------------


async def change(conn: Connection, command: SetBudget, now: datetime) -> BudgetView:
    """The verb `set_budget`."""
    if command.scope is BudgetScope.DISCUSSION:
        found = await conn.fetchrow(SQL["find_discussion"], command.subject, command.workspace)
        if found is None:
            raise NotFound(
                "There is no discussion with this id.",
                next_step="GET /api/v1/discussions lists them.",
            )
    await allow(
        conn,
        command.workspace,
        command.scope,
        command.subject,
        command.amount,
        now,
        period=command.period,
        strict=command.strict,
        by=command.by,
    )
    await _look_again(conn, command.workspace)
    wanted = ListBudgets(workspace=command.workspace, scope=command.scope, subject=command.subject)
    (view,) = (await listing(conn, wanted, now)).items
    return view


async def remove(conn: Connection, command: RemoveBudget) -> None:
    """The verb `remove_budget`."""
    gone = await conn.execute(
        SQL["remove_budget"], command.workspace, command.scope.value, command.subject
    )
    if gone == "DELETE 0":
        raise _no_budget()
    await _look_again(conn, command.workspace)


async def listing(conn: Connection, command: ListBudgets, now: datetime) -> BudgetList:
    """The verb `budgets`; NotFound if one was named that is not there."""
    scope = "" if command.scope is None else command.scope.value
    rows = await conn.fetch(SQL["list_budgets"], command.workspace, scope, command.subject)
    if command.scope is not None and not rows:
        raise _no_budget()
    return BudgetList([await _view(conn, row, now) for row in rows])


def _no_budget() -> NotFound:
    return NotFound(
        "There is no such budget: nothing is bounded by it.",
        next_step="GET /api/v1/budgets lists those there are; PUT /api/v1/budgets/workspace makes "
        "one.",
    )


async def _look_again(conn: Connection, workspace: str) -> None:
    for name in (parked_name(workspace), ledger.held_name(workspace)):
        await conn.execute(SQL["wake_waiting"], name, None)


def parked_name(workspace: str) -> str:
    """What turns wait for that a budget has no money left for."""
    return f"budget:{workspace}"


# --- As it stands ---------------------------------------------------------------------------


async def _purse(conn: Connection, row: asyncpg.Record, now: datetime) -> Purse:
    view = await _view(conn, row, now)
    return Purse(
        scope=view.scope,
        subject=view.subject,
        amount=view.amount,
        period=view.period,
        strict=view.strict,
        spent=view.spent,
        held=view.held,
        until=view.until,
    )


async def _view(conn: Connection, row: asyncpg.Record, now: datetime) -> BudgetView:
    scope, subject, period = BudgetScope(row["scope"]), row["subject"], Period(row["period"])
    since, until = span(period, now)
    match scope:
        case BudgetScope.WORKSPACE | BudgetScope.TOKEN:
            first = BEGINNING if since is None else since.astimezone(UTC).date()
            stand = await conn.fetchrow(SQL["stand_of_house"], row["workspace"], first, subject)
        case BudgetScope.DISCUSSION:
            stand = await conn.fetchrow(SQL["stand_of_discussion"], row["workspace"], subject)
        case BudgetScope.RUN:
            stand = await conn.fetchrow(SQL["stand_of_run"], row["workspace"], subject)
    assert stand is not None
    amount = cast("Decimal", row["amount"])
    return BudgetView(
        scope=scope,
        subject=subject,
        amount=amount,
        period=period,
        strict=row["strict"],
        spent=stand["spent"],
        held=stand["held"],
        left=amount - stand["spent"] - stand["held"],
        unpriced=stand["unpriced"],
        since=since,
        until=until,
        set_by=row["set_by"],
        set_at=row["set_at"],
    )


# --- What is said ---------------------------------------------------------------------------


def dollars(amount: Decimal) -> str:
    """`$0.0042`, `$12.50`."""
    if abs(amount) >= 1 or amount == 0:
        return f"${amount:.2f}"
    return f"${amount.quantize(Decimal('0.000001')).normalize():f}"


def name_of(purse: Purse) -> str:
    """`the workspace's budget of $5.00 a day`."""
    whose = {
        BudgetScope.WORKSPACE: "the workspace's budget",
        BudgetScope.TOKEN: "this access token's budget",
        BudgetScope.DISCUSSION: "the discussion's budget",
        BudgetScope.RUN: "the run's budget",
    }[purse.scope]
    each = {Period.DAY: " a day", Period.MONTH: " a month", Period.TOTAL: ""}[purse.period]
    return f"{whose} of {dollars(purse.amount)}{each}"


def budget_id(scope: BudgetScope, subject: str) -> str:
    """As it stands in an address: `workspace`, `token:<id>`."""
    return f"{scope.value}:{subject}" if subject else scope.value


def _over(against: Short, turns: Sequence[Worst]) -> OverBudget:
    """`turns`: those whose answers may be made shorter, so that it fits."""
    purse, need = against.purse, against.need
    if need is None:
        return OverBudget(
            f"The price of a model is not known here, and {name_of(purse)} takes only what has "
            "a price.",
            slug="no-price",
            title="The cost of this cannot be known",
            next_step="Choose a model with a price (GET /api/v1/models shows them), or ask an "
            "admin to let the budget take what has none (strict: false).",
            figures=_figures(purse, need),
        )
    return OverBudget(
        f"It may cost up to {dollars(need)}, and {_left(purse)} is left.{_busy(purse)}",
        next_step=_what_fits(purse, turns),
        figures=_figures(purse, need),
    )


def _left(purse: Purse) -> str:
    return f"{dollars(max(purse.left, Decimal(0)))} of {name_of(purse)}"


def _busy(purse: Purse) -> str:
    return f" {dollars(purse.held)} is held for what is being answered." if purse.held else ""


def _what_fits(purse: Purse, turns: Sequence[Worst]) -> str:
    raised = f"ask an admin to raise the budget (PUT /api/v1/budgets/{_place(purse)})"
    if purse.scope is BudgetScope.DISCUSSION:
        raised = "raise options.budget"
    wait = "" if purse.until is None else f", wait until {purse.until:%Y-%m-%d %H:%M} UTC"
    tokens = longest_that_fits(turns, purse.left)
    if tokens:
        return (
            f"Answers of at most {tokens:,} tokens would fit: set options.max_completion_tokens. "
            f"Or name fewer participants, or a cheaper model{wait}, or {raised}."
        )
    return f"Name fewer participants, or a cheaper model{wait}, or {raised}."


def _place(purse: Purse) -> str:
    return budget_id(purse.scope, purse.subject)


def _figures(purse: Purse, need: Decimal | None) -> dict[str, str]:
    figures = {
        "budget": _place(purse),
        "amount": f"{purse.amount:f}",
        "period": purse.period.value,
        "spent": f"{purse.spent:f}",
        "held": f"{purse.held:f}",
        "left": f"{purse.left:f}",
        "currency": "USD",
    }
    return figures if need is None else {"needs": f"{need:f}", **figures}


def longest_that_fits(turns: Sequence[Worst], left: Decimal) -> int:
    """Tokens that each answer may have so that all of them fit; 0: none that is worth having."""
    one = [_costs(each, 1) - _costs(each, 0) for each in turns if each.price is not None]
    rest = left - sum(_costs(each, 0) for each in turns)
    if not sum(one) or rest <= 0:
        return 0
    tokens = int((rest / sum(one)).to_integral_value(ROUND_FLOOR))
    return tokens if tokens >= WORTH_HAVING else 0


WORTH_HAVING = 64


def _costs(worst: Worst, answer: int) -> Decimal:
    usage = Usage(input_tokens=worst.question, output_tokens=answer, status=UsageStatus.ESTIMATED)
    paid = cost(worst.price, usage)
    return Decimal(0) if paid is None else paid.amount


def explained(against: Short) -> Failure:
    """Why a turn that had begun cannot go on just now."""
    purse, need = against.purse, against.need
    detail = (
        f"Its model has no known price, and {name_of(purse)} takes only what has one."
        if need is None
        else f"The next request may cost up to {dollars(need)}, and {_left(purse)} is left."
    )
    raised = (
        f"An admin can raise it: PUT /api/v1/budgets/{_place(purse)}, or on the page under Usage."
    )
    then = "Then try the turn again." if against.ends_the_work else "What waits goes on by itself."
    return Failure(
        class_=FailureClass.BILLING,
        title="The budget is used up",
        detail=f"{detail} Nothing was sent.",
        next_step=f"{raised} {then}",
        retryable=True,
        not_before=None if against.ends_the_work else purse.until,
    )
