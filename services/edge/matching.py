"""Which line of the table a request is for, or what to say where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

from rapidfuzz import process

from contracts.failures import NotFound
from services.edge.call import Route
from services.edge.problems import MethodNotAllowed
from services.edge.routes import ROUTES


def match(method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
    """The line of the table for a request; NotFound or MethodNotAllowed if there is none."""
    asked = [unquote(segment, errors="replace") for segment in raw_path.split("/")[1:]]
    allowed: list[str] = []
    for route, steps in _SPLIT:
        segments = _fit(steps, asked)
        if segments is None:
            continue
        if method == route.method or (method == "HEAD" and route.method == "GET"):
            return route, segments
        allowed.append(route.method)
    if allowed:
        if "GET" in allowed:
            allowed.append("HEAD")
        methods = ", ".join(sorted(allowed))
        raise MethodNotAllowed(f"This address takes {methods}.", headers={"Allow": methods})
    raise NotFound(
        "There is nothing at this address.",
        nearest=_near(method, raw_path),
        next_step="/docs lists every address.",
    )


def _fit(steps: Sequence[str], asked: Sequence[str]) -> dict[str, str] | None:
    """What the named steps of a path stand for; None if it is another path."""
    found: dict[str, str] = {}
    for at, step in enumerate(steps):
        if step.endswith("...}"):
            rest = "/".join(asked[at:])
            return {**found, step[1:-4]: rest} if rest else None
        if at >= len(asked):
            return None
        if step.startswith("{"):
            if not asked[at]:
                return None
            found[step[1:-1]] = asked[at]
        elif step != asked[at]:
            return None
    return found if len(asked) == len(steps) else None


def _near(method: str, raw_path: str) -> list[str]:
    names = [f"{route.method} {route.path}" for route in ROUTES]
    found = process.extract(f"{method} {raw_path[:200]}", names, limit=3, score_cutoff=60)
    return [name for name, _, _ in found]


_SPLIT = [(route, route.path.split("/")[1:]) for route in ROUTES]
