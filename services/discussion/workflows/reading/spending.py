"""What a run or a step may spend."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from contracts.workflow_events import Budget
from services.discussion.workflows.document import Fields, Text
from services.discussion.workflows.reading.values import Values, has


def budget(read: Values, fields: Fields) -> Budget | None:
    if not has(fields, "budget"):
        return None
    told = read.fields(fields.fields["budget"][1], "a budget", ("usd", "tokens"))
    if told is None:
        return None
    usd: Decimal | None = None
    if has(told, "usd"):
        value = told.fields["usd"][1]
        try:
            usd = Decimal(value.value.lstrip("$") if isinstance(value, Text) else "")
        except InvalidOperation:
            usd = Decimal(-1)
        if not usd.is_finite() or not 0 < usd <= 1_000_000:
            read.say(value.place, "`usd` is an amount above 0, e.g. 0.50.")
            usd = None
    tokens = read.whole(told.fields["tokens"][1], "tokens") if has(told, "tokens") else None
    if not told.fields:
        read.say(told.place, "A budget says `usd`, `tokens`, or both.")
    return Budget(usd=usd, tokens=tokens)
