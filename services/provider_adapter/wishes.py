"""What of the asker's wishes goes into the request; the rules are in `contracts.wishes`."""

from __future__ import annotations

from typing import Any

from contracts.attempts import RunAttempt
from contracts.providers import Provider
from contracts.wishes import judged


class Unsayable(Exception):
    """The provider cannot be asked for this. The message says what and why; nothing was sent."""


def granted(request: RunAttempt, row: Provider) -> dict[str, Any]:
    """The optional parameters that are to be sent, by their common names. Raises Unsayable."""
    wishes = judged(request.parameters, row, request.model)
    if wishes.refused:
        raise Unsayable(" ".join(wishes.refused.values()))
    return wishes.granted


def notes(request: RunAttempt, row: Provider) -> list[str]:
    """What was left out, for whoever reads the answer."""
    return judged(request.parameters, row, request.model).notes
