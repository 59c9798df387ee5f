"""`parley usage` and `parley budgets`: what was used, what it cost, and what may still be spent."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

USAGE = ("", "requests", "in", "out", "cached", "cost", "estimated", "not known")
BUDGETS = ("budget", "whose", "amount", "period", "spent", "held", "left", "no price")


def told_of_usage(report: dict[str, Any]) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Columns and lines. The first numbers are the providers' own; estimates stand apart."""
    columns = (report["by"], *USAGE[1:])
    lines = [*report["items"], report["total"]] if report["items"] else []
    return columns, [_line(line, columns) for line in lines]


def _line(line: dict[str, Any], columns: tuple[str, ...]) -> dict[str, Any]:
    sure, guess, unknown = line["measured"], line["estimated"], line["unknown"]
    values = (
        line["name"] or "(no persona)",
        f"{sure['requests']:,}",
        f"{sure['input_tokens']:,}",
        f"{sure['output_tokens']:,}",
        f"{sure['cached_tokens']:,}" if sure["cached_tokens"] else "",
        ", ".join(_costs(sure)),
        _guessed(guess),
        f"{unknown['requests']:,} requests" if unknown["requests"] else "",
    )
    return dict(zip(columns, values, strict=True))


def _costs(told: dict[str, Any]) -> Iterator[str]:
    """A sum for each currency, and what is in none of them."""
    for cost in told["costs"]:
        yield f"{money(cost['amount'])} {cost['currency']}"
    if told["unpriced"]:
        yield f"{told['unpriced']:,} without a price"


def _guessed(told: dict[str, Any]) -> str:
    if not told["requests"]:
        return ""
    tokens = told["input_tokens"] + told["output_tokens"]
    return f"{told['requests']:,} requests, {tokens:,} tokens, {', '.join(_costs(told))}"


def told_of_budgets(items: list[dict[str, Any]]) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Columns and lines."""
    return BUDGETS, [
        dict(
            zip(
                BUDGETS,
                (
                    item["id"],
                    item["name"],
                    money(item["amount"]),
                    item["period"] + (", strict" if item["strict"] else ""),
                    money(item["spent"]),
                    money(item["held"]),
                    money(item["left"]),
                    item["unpriced"] or "",
                ),
                strict=True,
            )
        )
        for item in items
    ]


def money(amount: str) -> str:
    """Two decimals, or as many as it takes to say something."""
    value = Decimal(amount)
    if value == 0 or abs(value) >= 1:
        return f"{value:.2f}"
    return f"{value.quantize(Decimal('0.000001')).normalize():f}"
