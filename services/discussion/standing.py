"""Whether a model that somebody once chose can still be had, and what answers until it can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from contracts.failures import Invalid, Problem
from contracts.providers import PROVIDERS, Provider
from contracts.standing import ModelStanding
from services.discussion import catalog
from services.discussion.catalog import Catalog

_STATES: Mapping[str, Literal["retired", "unavailable", "unknown"]] = {
    "retired-model": "retired",
    "no-key": "unavailable",
    "no-model": "unavailable",
}
"""By the kind of the refusal; whatever else is refused is not known."""


def standing(
    wanted: str, catalogs: Sequence[Catalog], rows: Mapping[str, Provider] = PROVIDERS
) -> ModelStanding:
    """As a discussion that names the model would be answered now."""
    try:
        model = catalog.resolve(wanted, "", catalogs, rows)
    except Invalid as refused:
        return _refused(wanted, refused.problem, catalogs, rows)
    return ModelStanding(wanted=wanted, state="available", model=model)


def _refused(
    wanted: str, problem: Problem, catalogs: Sequence[Catalog], rows: Mapping[str, Provider]
) -> ModelStanding:
    return ModelStanding(
        wanted=wanted,
        state=_STATES.get(problem.type, "unknown"),
        successor=problem.successor,
        successor_available=bool(problem.successor) and _there(problem.successor, catalogs, rows),
        instead=_instead(catalogs, rows),
        detail=problem.detail,
        next_step=problem.next_step,
        nearest=problem.nearest,
        reason=problem.type,
    )


def _there(model: str, catalogs: Sequence[Catalog], rows: Mapping[str, Provider]) -> bool:
    try:
        catalog.resolve(model, "", catalogs, rows)
    except Invalid:
        return False
    return True


def _instead(catalogs: Sequence[Catalog], rows: Mapping[str, Provider]) -> str:
    try:
        return catalog.default(catalogs, rows)
    except Invalid:
        return ""
