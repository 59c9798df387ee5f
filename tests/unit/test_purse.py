"""What fits into a budget, and for how long it lasts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.budgets import BudgetScope, Period
from services.discussion.purse import Purse, short, span

NOON = datetime(2026, 12, 31, 12, tzinfo=UTC)
CENTS = st.integers(0, 2_000).map(lambda cents: Decimal(cents) / 100)


def purse(
    amount: str,
    *,
    spent: str = "0",
    held: str = "0",
    scope: BudgetScope = BudgetScope.WORKSPACE,
    strict: bool = False,
) -> Purse:
    return Purse(
        scope=scope,
        subject="",
        amount=Decimal(amount),
        period=Period.DAY,
        strict=strict,
        spent=Decimal(spent),
        held=Decimal(held),
        until=NOON,
    )


def test_what_is_held_is_not_there_for_others() -> None:
    against = short([purse("1", spent="0.50", held="0.30")], Decimal("0.25"))

    assert against is not None
    assert against.passes, "once the others have cost less than is held for them"
    assert short([purse("1", spent="0.50", held="0.30")], Decimal("0.20")) is None


def test_what_is_spent_does_not_come_back() -> None:
    against = short([purse("1", spent="0.90", held="0.05")], Decimal("0.25"))

    assert against is not None
    assert not against.passes


def test_the_budget_that_ends_the_work_is_named_before_one_that_holds_it() -> None:
    own = purse("1", spent="1", scope=BudgetScope.DISCUSSION)
    against = short([purse("1", spent="1"), own], Decimal(1))

    assert against is not None
    assert against.purse is own
    assert against.ends_the_work


def test_what_has_no_price_is_refused_by_a_strict_budget_only() -> None:
    assert short([purse("1", spent="1")], None) is None
    assert short([purse("1", strict=True)], None) is not None


def test_what_costs_nothing_fits_into_an_empty_budget() -> None:
    assert short([purse("0", spent="1")], Decimal(0)) is None


@given(st.lists(st.tuples(CENTS, CENTS), max_size=30), CENTS)
def test_however_many_run_at_once_they_cannot_come_to_more_than_was_allowed(
    requests: list[tuple[Decimal, Decimal]], amount: Decimal
) -> None:
    """Each holds what it may cost at most, and costs no more in the end."""
    spent = held = Decimal(0)
    running: list[tuple[Decimal, Decimal]] = []
    for number, (most, share) in enumerate(requests):
        if short([purse(str(amount), spent=str(spent), held=str(held))], most) is None:
            held += most
            running.append((most, min(most, share)))
        if number % 3 == 2 and running:
            ended, cost = running.pop(0)
            held -= ended
            spent += cost
    assert spent + sum((cost for _, cost in running), Decimal(0)) <= amount


@pytest.mark.parametrize(
    ("period", "since", "until"),
    [
        (Period.DAY, datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (Period.MONTH, datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (Period.TOTAL, None, None),
    ],
)
def test_periods_are_days_and_months_of_utc(
    period: Period, since: datetime | None, until: datetime | None
) -> None:
    assert span(period, NOON) == (since, until)


@given(st.timedeltas(timedelta(0), timedelta(days=40_000)))
def test_every_moment_is_in_its_own_month(later: timedelta) -> None:
    now = NOON + later
    since, until = span(Period.MONTH, now)

    assert since is not None
    assert until is not None
    assert since <= now < until
    assert since.day == until.day == 1
    assert timedelta(days=28) <= until - since <= timedelta(days=31)
