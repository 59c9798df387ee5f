"""What was used, from one day to another: the sums of the ledger, as people ask for them.

What is measured, estimated and unknown stays apart, and so does each currency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from contracts.prices import Cost
from contracts.stream import UsageStatus
from contracts.usage import AskUsage, Sum, UsageLine, UsageReport
from services.discussion.sql import SQL
from shared.database import Connection

TOTAL = "total"


async def report(conn: Connection, command: AskUsage) -> UsageReport:
    """The verb `usage`."""
    since, until = date.fromisoformat(command.since), date.fromisoformat(command.until)
    found = await conn.fetch(SQL["usage_by"], command.workspace, since, until, command.by.value)
    rows = [dict(row) for row in found]
    keys = dict.fromkeys(row["key"] for row in rows)
    return UsageReport(
        since=command.since,
        until=command.until,
        by=command.by,
        items=[line(key, [row for row in rows if row["key"] == key]) for key in keys],
        total=line(TOTAL, rows),
    )


def line(key: str, rows: Sequence[Mapping[str, Any]]) -> UsageLine:
    """The rows of one key, added up by how each number is known."""
    sums = {
        status: _sum([row for row in rows if row["status"] == status.value])
        for status in UsageStatus
    }
    return UsageLine(
        key=key,
        measured=sums[UsageStatus.MEASURED],
        estimated=sums[UsageStatus.ESTIMATED],
        unknown=sums[UsageStatus.UNKNOWN],
    )


def _sum(rows: Sequence[Mapping[str, Any]]) -> Sum:
    def added(name: str) -> int:
        return sum(int(row[name]) for row in rows)

    currencies = sorted({row["currency"] for row in rows} - {""})
    return Sum(
        requests=added("requests"),
        input_tokens=added("input_tokens"),
        output_tokens=added("output_tokens"),
        reasoning_tokens=added("reasoning_tokens"),
        cached_tokens=added("cached_tokens"),
        unpriced=added("unpriced"),
        costs=[
            Cost(
                amount=sum(
                    (row["amount"] for row in rows if row["currency"] == currency), Decimal(0)
                ),
                currency=currency,
            )
            for currency in currencies
        ],
    )
