"""What was asked of an answer, and what of it the model takes: the rows say so."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from contracts.attempts import RunAttempt
from contracts.providers import Provider


class Unsayable(Exception):
    """The provider cannot be asked for this. The message says what and why; nothing was sent."""


def granted(request: RunAttempt, row: Provider) -> dict[str, Any]:
    """The optional parameters that are to be sent, by their common names. Raises Unsayable.

    What would only shape the answer a little is left out where it is not taken; what the asker
    relies on is refused.
    """
    model = row.model(request.model)
    wish = {
        name: value
        for name, value in structs.asdict(request.parameters).items()
        if value is not None and name != "max_completion_tokens"
    }
    # A model with its own fixed sampling answers 400 to any other value, also to a like one.
    if model.fixed_temperature if model is not None else row.fixed_temperature:
        wish.pop("temperature", None)
        wish.pop("top_p", None)
    if row.either_temperature_or_top_p and "temperature" in wish:
        wish.pop("top_p", None)
    for name in wish.keys() & row.refuses.keys():
        raise Unsayable(f"{name} cannot be asked of {row.title}: {row.refuses[name]}")
    return {name: value for name, value in wish.items() if name not in row.leaves_out}
