"""How each provider stands, in a few words a line: what it may be asked, what waits, and why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

COLUMNS = ("provider", "state", "limits", "running", "waiting", "parked", "what stands in the way")
KINDS = ("rpm", "tpm", "tpd", "concurrency")


def lines(items: list[dict[str, Any]], now: datetime | None = None) -> list[dict[str, Any]]:
    """One for each provider, by column; those that can be asked come first."""
    now = now or datetime.now(UTC)
    ready_first = sorted(items, key=lambda item: not item.get("available"))
    return [_line(item, now) for item in ready_first]


def _line(item: dict[str, Any], now: datetime) -> dict[str, Any]:
    values = (
        item["name"],
        _state(item),
        told(item.get("limits", {})) + (" (set here)" if item.get("set_here") else ""),
        item.get("in_flight", 0) or "",
        item.get("waiting", 0) or "",
        item.get("parked", 0) or "",
        "; ".join(_in_the_way(item, now)),
    )
    return dict(zip(COLUMNS, values, strict=True))


def told(limits: dict[str, int]) -> str:
    """`rpm=3, concurrency=1`, as the environment has them."""
    return ", ".join(f"{kind}={limits[kind]}" for kind in KINDS if kind in limits)


def _state(item: dict[str, Any]) -> str:
    if not item.get("available"):
        return "not set up"
    return "held back" if item.get("gates") or item.get("not_before") else "ready"


def _in_the_way(item: dict[str, Any], now: datetime) -> Iterator[str]:
    for gate in item.get("gates", []):
        yield f"{gate['failure']['title']} ({gate['gate']}, since {_clock(gate['closed_at'])})"
    if until := item.get("not_before"):
        yield f"asks for silence {_until(until, now)}"
    for account in item.get("accounts", []):
        for rest in account.get("breakers", []):
            yield f"left in peace after failures {_until(rest['until'], now)}"
    if not item.get("available"):
        yield item.get("reason", "")


def _until(moment: str, now: datetime) -> str:
    seconds = (datetime.fromisoformat(moment) - now).total_seconds()
    return f"for {max(1, round(seconds))} s" if seconds < 120 else f"until {_clock(moment)}"


def _clock(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone():%H:%M:%S}"
