"""The ledger: what every request has cost, stated once and added up, in the transaction of its end.

A row is opened with the permit and settled with the end of the attempt. A late word of the
provider on one that was given up, or cut, corrects it: the sums lose what was recorded and gain
what is true, and a fact of its own says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec

from contracts.discussion_events import (
    AttemptCut,
    AttemptFailed,
    DiscussionEvent,
    DiscussionOpened,
    TurnCancelled,
    TurnCompleted,
)
from contracts.prices import Cost, Price
from contracts.stream import ProviderError, StreamCompleted, Usage, UsageStatus
from contracts.usage import Ending, UsageCorrected, UsageRecorded
from services.discussion import reckoning
from services.discussion.pricing import cost, price_of
from services.discussion.reckoning import Entry, Settled
from services.discussion.sql import SQL
from shared.database import Connection

UsageFact = UsageRecorded | UsageCorrected

End = TurnCompleted | AttemptFailed | AttemptCut

_price = msgspec.json.Decoder(Price).decode


def stream_of(discussion: str) -> str:
    """Journal stream of what a discussion has cost. Whoever writes it holds the discussion."""
    return f"{discussion}-usage"


# --- Begin ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """What a request may cost at most."""

    question: int
    """Tokens, as estimated."""
    answer: int
    """Tokens that it may have."""
    price: Price | None

    @property
    def cost(self) -> Cost | None:
        """None where the price is not known."""
        usage = Usage(
            input_tokens=self.question, output_tokens=self.answer, status=UsageStatus.ESTIMATED
        )
        return cost(self.price, usage)

    @property
    def amount(self) -> Decimal | None:
        """USD; None where the price is not known."""
        paid = self.cost
        return None if paid is None else paid.amount


def worst(opened: DiscussionOpened, participant: int, tokens: int, longest: int) -> Worst:
    """Of a request of so many tokens, `longest` of them for the answer."""
    return Worst(
        question=max(0, tokens - longest), answer=longest, price=price_of(opened, participant)
    )


async def enter(
    conn: Connection,
    opened: DiscussionOpened,
    *,
    attempt: str,
    turn: str,
    model: str,
    persona: str,
    worst: Worst,
    now: datetime,
) -> None:
    """The request is permitted: what it may cost is held until it has ended."""
    provider, _, name = model.partition("/")
    price = None if worst.price is None else msgspec.json.encode(worst.price)
    await conn.execute(
        SQL["enter"],
        attempt,
        opened.workspace,
        opened.discussion,
        opened.run,
        turn,
        provider,
        name,
        persona,
        opened.opened_by,
        now,
        price,
        worst.question,
        worst.amount,
    )


async def question(conn: Connection, attempt: str) -> int:
    """Tokens of the attempt's question, as estimated."""
    row = await conn.fetchrow(SQL["find_entry"], attempt)
    return 0 if row is None else row["question"]


# --- End ------------------------------------------------------------------------------------


async def settle(
    conn: Connection, discussion: str, events: Sequence[DiscussionEvent], now: datetime
) -> list[UsageRecorded]:
    """Settle all that ended with `events`; answers what is to be stated."""
    ends: list[tuple[asyncpg.Record, End | None]] = []
    for event in events:
        if isinstance(event, End):
            row = await conn.fetchrow(SQL["find_entry"], event.attempt)
            if row is not None and row["status"] == "open":
                ends.append((row, event))
        elif isinstance(event, TurnCancelled):
            rows = await conn.fetch(SQL["open_entries"], discussion, event.turn)
            ends += [(row, None) for row in rows]
    facts: list[UsageRecorded] = []
    sums: list[_Addition] = []
    for row, end in ends:
        bill = reckoning.settled(_entry(row), end)
        day = now.astimezone(UTC).date()
        await _write(conn, row, bill, day)
        if bill.sent:
            sums.append(_addition(row, bill, day))
            facts.append(UsageRecorded(**_told(row, bill, day), at=now))
    await _add(conn, sums)
    if ends:
        await conn.execute(SQL["wake_waiting"], held_name(ends[0][0]["workspace"]), AT_ONCE)
    return facts


async def correct(
    conn: Connection, outcome: StreamCompleted | ProviderError, now: datetime
) -> UsageCorrected | None:
    """A late outcome, of an attempt that nobody waited for any more: is more known now?"""
    row = await conn.fetchrow(SQL["find_entry"], outcome.attempt)
    if row is None or row["status"] == "open":
        return None
    bill = reckoning.corrected(_entry(row), Ending(row["ended"]), outcome)
    if bill is None:
        return None
    day: date = row["day"]
    await _write(conn, row, bill, day)
    await _add(conn, [_taken_back(row), *([_addition(row, bill, day)] if bill.sent else [])])
    return UsageCorrected(**_told(row, bill, day), at=now, sent=bill.sent)


AT_ONCE = 8
"""Turns that look for money at once when some is free again."""


def held_name(workspace: str) -> str:
    """What turns wait for whose money is held by others just now."""
    return f"money:{workspace}"


def _entry(row: asyncpg.Record) -> Entry:
    price = None if row["price"] is None else _price(row["price"])
    return Entry(price=price, question=row["question"], held=row["held"], status=row["status"])


def _told(row: asyncpg.Record, bill: Settled, day: date) -> dict[str, Any]:
    price = None if row["price"] is None else _price(row["price"])
    return {
        "workspace": row["workspace"],
        "discussion": row["discussion"],
        "turn": row["turn"],
        "attempt": row["attempt"],
        "provider": row["provider"],
        "model": row["model"],
        "ended": bill.ended,
        "usage": bill.usage,
        "cost": bill.cost,
        "price_read": price.read if price is not None and bill.cost is not None else "",
        "day": day.isoformat(),
        "persona": row["persona"],
        "token": row["token"],
        "run": row["run"],
    }


async def _write(conn: Connection, row: asyncpg.Record, bill: Settled, day: date) -> None:
    usage = bill.usage
    await conn.execute(
        SQL["settle_entry"],
        row["attempt"],
        bill.status,
        bill.ended.value,
        day,
        usage.input_tokens,
        usage.output_tokens,
        usage.reasoning_tokens or 0,
        usage.cached_tokens or 0,
        None if bill.cost is None else bill.cost.amount,
        bill.charged,
    )


# --- Sums -----------------------------------------------------------------------------------

_Addition = tuple[tuple[object, ...], tuple[int | Decimal, ...]]
"""A row of the sums, and what is added to each of its numbers."""


def _addition(row: asyncpg.Record, bill: Settled, day: date) -> _Addition:
    usage, paid = bill.usage, bill.cost
    numbers = (
        1,
        usage.input_tokens,
        usage.output_tokens,
        usage.reasoning_tokens or 0,
        usage.cached_tokens or 0,
        int(paid is None),
        Decimal(0) if paid is None else paid.amount,
        bill.charged,
    )
    return _place(row, day, bill.status, paid), numbers


def _taken_back(row: asyncpg.Record) -> _Addition:
    amount: Decimal | None = row["amount"]
    numbers = (
        -1,
        -row["input_tokens"],
        -row["output_tokens"],
        -row["reasoning_tokens"],
        -row["cached_tokens"],
        -int(amount is None),
        -(amount or Decimal(0)),
        -row["charged"],
    )
    paid = None if amount is None else Cost(amount=amount)
    return _place(row, row["day"], row["status"], paid), numbers


def _place(row: asyncpg.Record, day: date, status: str, paid: Cost | None) -> tuple[object, ...]:
    return (
        row["workspace"],
        day,
        row["provider"],
        row["model"],
        row["persona"],
        row["token"],
        status,
        "" if paid is None else paid.currency,
    )


async def _add(conn: Connection, additions: Sequence[_Addition]) -> None:
    """In one order for everybody, so that no two transactions wait for each other."""
    for place, numbers in sorted(additions, key=lambda each: repr(each[0])):
        await conn.execute(SQL["add_to_day"], *place, *numbers)
