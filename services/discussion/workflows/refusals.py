"""What is said when a definition is not sound, a name unknown, or inputs do not fit."""

from __future__ import annotations

from rapidfuzz import process as near

from contracts.failures import Invalid, NotFound
from contracts.workflow_events import Definition, InputField
from services.discussion.workflows import reading
from services.discussion.workflows.reading import Unsound

LONGEST_INPUT = 50_000


def sound(source: str) -> Definition:
    try:
        return reading.read(source)
    except Unsound as unsound:
        count = len(unsound.faults)
        first = unsound.faults[0]
        raise Invalid(
            f"There {'is one fault' if count == 1 else f'are {count} faults'} in the definition; "
            f"the first is on line {first.line}, column {first.column}: {first.message}",
            slug="unsound-workflow",
            title="The workflow's definition is not sound",
            errors=[
                {
                    "field": fault.path or "source",
                    "line": str(fault.line),
                    "column": str(fault.column),
                    "message": f"line {fault.line}, column {fault.column}: {fault.message}",
                }
                for fault in unsound.faults[:100]
            ],
            next_step="Correct the lines that are named, then send it again.",
        ) from unsound


def no_workflow(wanted: str, slugs: list[str]) -> NotFound:
    nearest = [slug for slug, *_ in near.extract(wanted[:80], slugs, limit=3, score_cutoff=50)]
    return NotFound(
        f"There is no workflow called {wanted[:80]!r}.",
        slug="unknown-workflow",
        title="There is no such workflow",
        nearest=nearest,
        next_step="GET /api/v1/workflows lists them.",
    )


def no_step(wanted: str, definition: Definition) -> NotFound:
    names = [step.name for step in definition.steps]
    return NotFound(
        f"The run has no step {wanted[:80]!r}.",
        slug="unknown-step",
        title="There is no such step",
        nearest=[name for name, *_ in near.extract(wanted[:80], names, limit=3)],
        next_step="GET /api/v1/runs/{id} shows its steps.",
    )


def check_inputs(wanted: list[InputField], given: dict[str, str]) -> None:
    known = {field.name for field in wanted}
    errors = [
        {"field": f"inputs.{field.name}", "message": "is required: say something"}
        for field in wanted
        if field.required and not str(given.get(field.name, "")).strip()
    ]
    errors += [
        {"field": f"inputs.{name[:80]}", "message": "is not an input of this workflow: remove it"}
        for name in given
        if name not in known
    ]
    errors += [
        {
            "field": f"inputs.{name}",
            "message": f"has {LONGEST_INPUT:,} characters at most: shorten it",
        }
        for name, value in given.items()
        if len(value) > LONGEST_INPUT
    ]
    if errors:
        raise Invalid(
            "The inputs do not fit the workflow.",
            slug="workflow-inputs",
            errors=errors,
            next_step="GET /api/v1/workflows/{slug} shows what it asks for.",
        )
