"""What needs all of a definition: steps wait for one another, templates speak of others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from contracts.workflow_events import InputField, Step
from services.discussion.workflows import graph, templates
from services.discussion.workflows.document import Text
from services.discussion.workflows.reading.steps import Where
from services.discussion.workflows.reading.values import Values, choose

PARTS = ("text", "outcome", "state", "turns", "model", "failed")
"""Of a step, for the templates after it."""


def check_order(read: Values, steps: Sequence[Step], where: Sequence[Where]) -> None:
    names = [step.name for step in steps]
    for step, at in zip(steps, where, strict=True):
        for before, place in zip(step.after, at.after, strict=True):
            if before and before not in names:
                told = f"There is no step {before[:80]!r}. {choose(before, names)}"
                read.say(place, told)
    order = {step.name: step.after for step in steps}
    for circle in graph.circles(order):
        at = where[names.index(circle[0])]
        way = " → ".join([*circle, circle[0]])
        place = at.after[order[circle[0]].index(circle[1 % len(circle)])]
        told = f"These steps wait for one another: {way}. Remove one of these `after`."
        read.say(place, told)


def check_templates(
    read: Values, steps: Sequence[Step], where: Sequence[Where], inputs: Sequence[InputField]
) -> None:
    names = [step.name for step in steps]
    order = {step.name: step.after for step in steps}
    known = _Known([one.name for one in inputs], names)
    for step, at in zip(steps, where, strict=True):
        before = graph.before(order, step.name)
        if at.prompt is not None:
            _check_template(read, at.prompt, at.prompt.value, step.name, before, known)
        if at.when is not None and at.when.value.strip():
            source = templates.condition(at.when.value.strip())
            _check_template(read, at.when, source, step.name, before, known)


def _check_template(
    read: Values, text: Text, source: str, step: str, before: Collection[str], known: _Known
) -> None:
    for complaint in templates.complaints(source):
        read.say(read.near(text, complaint.line, complaint.near), complaint.message)
    for mention in templates.mentions(source):
        if told := _unknown(mention, step, before, known):
            near = mention.part if mention.part and mention.name in before else mention.name
            read.say(read.near(text, mention.line, near), told)


@dataclass(frozen=True, slots=True)
class _Known:
    inputs: Sequence[str]
    steps: Sequence[str]


def _unknown(mention: templates.Mention, step: str, before: Collection[str], known: _Known) -> str:
    """What is wrong with something that a template speaks of; empty if nothing is."""
    name = mention.name
    match mention.of:
        case "inputs" if name not in known.inputs:
            told = "Add it under `inputs`, or correct the name."
            return f"There is no input {name[:80]!r}. {choose(name, known.inputs) or told}"
        case "steps" if name == step:
            return "A step cannot speak of itself: name an earlier one."
        case "steps" if name not in known.steps:
            return f"There is no step {name[:80]!r}. {choose(name, known.steps)}"
        case "steps" if name not in before:
            return f"Step {name!r} may not have ended by then: add it to `after`."
        case "steps" if mention.part and mention.part not in PARTS:
            return f"A step has no {mention.part[:80]!r}. {choose(mention.part, PARTS)}"
        case "":
            return (
                f"{name[:80]!r} is not known here: write `inputs.{name[:40]}`, or "
                f"`steps.<name>.text` ({', '.join(PARTS)})."
            )
        case _:
            return ""
