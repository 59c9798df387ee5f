"""What is asked of an answer, and what of it the model takes: its provider's row says so.

Three ends for a wish: it is granted; it is left out, with a note for whoever reads the answer; or
it is refused with the reason, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from msgspec import structs

from contracts.attempts import Parameters
from contracts.providers import Provider


@dataclass(slots=True)
class Wishes:
    """The optional parameters by their common names, sorted by what becomes of them."""

    granted: dict[str, Any] = field(default_factory=dict[str, Any])
    notes: list[str] = field(default_factory=list[str])
    """A sentence for each that is left out."""
    refused: dict[str, str] = field(default_factory=dict[str, str])
    """Name → a sentence that says why. If there is one, nothing is to be sent."""


def judged(parameters: Parameters, row: Provider, model: str) -> Wishes:
    """What becomes of each wish at this model.

    What would only shape the answer a little is left out where it is not taken; what the asker
    relies on is refused.
    """
    wishes = Wishes()
    asked = {
        name: value
        for name, value in structs.asdict(parameters).items()
        if value is not None and name != "max_completion_tokens"
    }
    for name, value in asked.items():
        if why := _refusal(name, value, row, model):
            wishes.refused[name] = why
        elif why := _omission(name, value, asked, row, model):
            wishes.notes.append(why)
        else:
            wishes.granted[name] = value
    return wishes


def _refusal(name: str, value: object, row: Provider, model: str) -> str:
    known = row.model(model)
    rules = {**row.refuses, **(known.refuses if known else {})}
    for form in _forms(name, value):
        if form in rules:
            who = f"{row.title}'s {model}" if known and form in known.refuses else row.title
            return f"{form.replace(':', ' ')} cannot be asked of {who}: {rules[form]}"
    return ""


def _forms(name: str, value: object) -> Iterator[str]:
    """How a row may name a wish: `stop`, or with what is wished, `tool_choice:required`."""
    yield name
    if isinstance(value, dict):
        value = cast("dict[str, object]", value).get("type")
    if isinstance(value, str):
        yield f"{name}:{value}"


def _omission(name: str, value: object, asked: dict[str, Any], row: Provider, model: str) -> str:
    known = row.model(model)
    fixed = known.fixed_temperature if known is not None else row.fixed_temperature
    left_out = f"{name} was left out"
    match name:
        case _ if name in row.leaves_out:
            return f"{left_out}: {row.title} does not take it."
        case "temperature" | "top_p" if fixed:
            # A model with its own fixed sampling answers 400 to any other value.
            return f"{left_out}: {model} takes only its own."
        case "top_p" if row.either_temperature_or_top_p and "temperature" in asked:
            return f"{left_out}: {row.title} takes it or a temperature, not both."
        case "reasoning_effort":
            told = known.efforts if known is not None and known.efforts is not None else row.efforts
            if told == ():
                return f"{left_out}: {model} does not know it."
            if told is not None and value not in told:
                return f"{left_out}: {model} knows {', '.join(told)}, not {value}."
        case _:
            pass
    return ""
