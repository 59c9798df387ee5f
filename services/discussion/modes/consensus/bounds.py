"""How long a member may speak, and in which form: the drafts must fit together before a reviewer.

A schema is only asked for where the provider's row says that it is kept to; everybody finds the
form in the words of the prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace as copy

from contracts.attempts import Parameters
from contracts.discussion_events import DiscussionOpened
from contracts.modes import Purpose
from contracts.providers import PROVIDERS, Model
from contracts.wishes import judged
from services.discussion.consensus import ballots, closed, revisions, synthesis
from services.discussion.modes.table import Seat, members

LEAST = 1_024
"""Tokens that an answer in a given form may have where somebody wished for shorter answers: a
ballot that breaks off cannot be counted."""


def parameters(opened: DiscussionOpened, seat: Seat, usual: Parameters) -> Parameters:
    """What a turn is asked with."""
    if seat.purpose is Purpose.ANSWER:
        return usual
    # Tools and stops are wishes for an answer, and would break a ballot.
    plain = copy(usual, tools=None, tool_choice=None, stop=None, response_format=None)
    if seat.purpose is Purpose.DRAFT:
        most = min(usual.max_completion_tokens, _draft(opened) or usual.max_completion_tokens)
        plain = copy(plain, max_completion_tokens=most)
        form = closed.SCHEMA if opened.options.closed else None
    else:
        if opened.parameters.max_completion_tokens > 0:
            least = max(LEAST, usual.max_completion_tokens)
            plain = copy(plain, max_completion_tokens=least)
        form = _form(seat)
    return plain if form is None else _formed(opened, seat, plain, form)


def _draft(opened: DiscussionOpened) -> int | None:
    """Tokens of a draft so that all of them fill no more than half of the smallest window. A model
    that has little to say reads slowly, too: where one takes part, half of its answer is enough.
    """
    rows = [known for who in opened.participants if (known := _known(who.model)) is not None]
    share = [row.context_window // 2 // len(members(opened)) for row in rows if row.context_window]
    short = [row.answer_tokens // 2 for row in rows if row.answer_tokens]
    return min([*share, *short], default=None)


def _known(model: str) -> Model | None:
    provider, _, name = model.partition("/")
    row = PROVIDERS.get(provider)
    return row.model(name) if row is not None else None


def _form(seat: Seat) -> dict[str, Any]:
    match seat.purpose:
        case Purpose.REVISION:
            return revisions.SCHEMA
        case Purpose.SYNTHESIS:
            return synthesis.schema(list(seat.labels))
        case _:
            return ballots.schema(list(seat.labels))


def _formed(
    opened: DiscussionOpened, seat: Seat, plain: Parameters, form: Mapping[str, Any]
) -> Parameters:
    provider, _, model = opened.participants[seat.participant].model.partition("/")
    row = PROVIDERS.get(provider)
    if row is None or not row.keeps_schemas:
        return plain
    schema = {"name": seat.purpose.value, "schema": dict(form), "strict": True}
    wish = copy(plain, response_format={"type": "json_schema", "json_schema": schema})
    return wish if "response_format" in judged(wish, row, model).granted else plain
