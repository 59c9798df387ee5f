"""`parley models`: what the lists of models say, in columns that a person can compare."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

COLUMNS = ("model", "window", "in", "cached", "out", "as of", "can", "note")
"""Prices are USD for a million tokens, read on the day `as of`."""


def told_of_models(
    items: Iterable[dict[str, Any]], *, retired: bool
) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Columns and lines of the table."""
    return COLUMNS, [_line(item) for item in items if retired or not item.get("retired")]


def _line(item: dict[str, Any]) -> dict[str, Any]:
    price: dict[str, Any] = item.get("price") or {}
    abilities = (("thinks", "think"), ("sees", "see"), ("calls_tools", "call tools"))
    if item.get("retired"):
        note = f"retired: use {item['successor']}"
    else:
        note = "used when nobody chooses" if item.get("default") else ""
    window = item.get("context_window")
    return {
        "model": item["id"],
        "window": f"{window:,}" if window else "",
        "in": _money(price.get("input")),
        "cached": _money(price.get("cached")),
        "out": _money(price.get("output")) + ("+" if price.get("tiers") else ""),
        "as of": price.get("read", ""),
        "can": ", ".join(word for name, word in abilities if item.get(name)),
        "note": note,
    }


def _money(amount: Any) -> str:
    return "" if amount is None else f"{Decimal(str(amount)):f}"


def told_of_lists(refreshed: dict[str, Any]) -> list[str]:
    """A line for each list that was looked at."""
    return [
        f"{item['provider']}: {item['models']} models at {item['endpoint']}"
        if item.get("models") is not None
        else f"{item['provider']}: {item['reason']} {item['next_step']}"
        for item in refreshed["items"]
    ]
