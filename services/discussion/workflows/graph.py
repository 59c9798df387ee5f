"""Which step waits for which: what comes before one, and who waits for whom in a circle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Order = Mapping[str, Sequence[str]]
"""Step → the steps it comes after. A name that is no step's own is passed over."""


def before(order: Order, step: str) -> frozenset[str]:
    """Everything that has ended when `step` begins."""
    found: set[str] = set()
    waiting = list(order.get(step, ()))
    while waiting:
        one = waiting.pop()
        if one not in found and one in order:
            found.add(one)
            waiting += order[one]
    return frozenset(found)


def after(order: Order, step: str) -> frozenset[str]:
    """Everything that waits for `step`, directly or not."""
    return frozenset(one for one in order if step in before(order, one))


def circles(order: Order) -> list[tuple[str, ...]]:
    """Steps that wait for one another, each circle once; the first waits for the second."""
    found: list[tuple[str, ...]] = []
    told: set[str] = set()
    for step in order:
        if step not in told and step in before(order, step):
            circle = _circle(order, step)
            told |= before(order, step)
            found.append(circle)
    return found


def _circle(order: Order, step: str) -> tuple[str, ...]:
    """The shortest way from `step` back to itself."""
    ways: list[tuple[str, ...]] = [(step,)]
    seen: set[str] = set()
    for way in ways:  # it grows while we walk it: breadth first
        for following in order[way[-1]]:
            if following == step:
                return way
            if following in order and following not in seen:
                seen.add(following)
                ways.append((*way, following))
    raise AssertionError("it waits for itself, so there is a way back")
