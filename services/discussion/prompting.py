"""What is sent to a model: the persona's prompt, then the question, and how long to answer."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import msgspec
from msgspec.structs import replace as copy

from contracts.attempts import Message, Parameters
from contracts.discussion_events import DiscussionOpened
from contracts.modes import Mode
from contracts.providers import PROVIDERS, Continuing, Model
from contracts.providers import Provider as Row
from services.discussion.modes import PROCESSES, telling
from services.discussion.modes.table import Seat, Table

SHORT = 1_024
"""Tokens of an answer unless asked otherwise: providers charge rate limits by it beforehand."""

LEAST = 64
"""Tokens that an answer which broke off may at least go on for."""

LONG = 8_192
"""For models that think: their thoughts count too."""


def messages(table: Table, seat: Seat) -> list[Message]:
    """The conversation as the one who speaks sees it: persona, then what its mode shows."""
    opened = table.opened
    prompt = opened.instructions.get(opened.participants[seat.participant].persona, "")
    said = PROCESSES[opened.mode].messages(table, seat)
    if said and said[0].role == "system" and isinstance(said[0].content, str) and not _given(table):
        rule, *said = said
        prompt = "\n\n".join(filter(None, (prompt, str(rule.content))))
    head = [Message(role="system", content=prompt)] if prompt else []
    return [*head, *said]


def _given(table: Table) -> bool:
    """The messages are the asker's own, to be sent as they are."""
    return bool(table.opened.messages) and table.opened.mode in {Mode.SINGLE, Mode.PARALLEL}


def parameters(table: Table, seat: Seat) -> Parameters:
    """What was asked for, with an explicit and tight bound where nobody set one."""
    usual = bounded(table.opened, seat.participant)
    return PROCESSES[table.opened.mode].parameters(table, seat, usual)


def bounded(opened: DiscussionOpened, participant: int) -> Parameters:
    """The wished parameters of an answer that is not a mode's own kind."""
    if opened.parameters.max_completion_tokens > 0:
        return opened.parameters
    model = known(opened.participants[participant].model)
    own = None if model is None else model.answer_tokens
    bound = own or (LONG if thinks(opened, participant) else SHORT)
    return copy(opened.parameters, max_completion_tokens=bound)


def thinks(opened: DiscussionOpened, participant: int) -> bool:
    """Whether the participant's model thinks before it speaks."""
    who = opened.participants[participant]
    model = known(who.model)
    return who.thinks or (model is not None and model.thinks)


def question_tokens(opened: DiscussionOpened, participant: int) -> int:
    """What the question alone comes to, with the persona's own prompt."""
    prompt = opened.instructions.get(opened.participants[participant].persona, "")
    said = [Message(role="system", content=prompt), *telling.question(opened)]
    return tokens(said, copy(opened.parameters, max_completion_tokens=0))


IMAGE = 1_000
"""Tokens reckoned for each part of a message that is not text."""


def tokens(messages: Sequence[Message], parameters: Parameters) -> int:
    """What a request may cost at most: its input, estimated as bytes / 3 and a tenth more since
    no tokenizer is at hand, and the longest answer it may get.
    """
    size = 0
    parts = 0
    for message in messages:
        match message.content:
            case str(text):
                size += _bytes(text)
            case list(pieces):
                texts = [piece["text"] for piece in pieces if isinstance(piece.get("text"), str)]
                size += sum(map(_bytes, texts))
                parts += len(pieces) - len(texts)
            case None:
                pass
        size += len(msgspec.json.encode(message.tool_calls)) if message.tool_calls else 0
    size += len(msgspec.json.encode(parameters.tools)) if parameters.tools else 0
    return ceil(size / 3 * 1.1) + parts * IMAGE + parameters.max_completion_tokens


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def can_go_on(model: str) -> bool:
    """Whether `provider/model` can be given the beginning of an answer to go on from."""
    row, what = PROVIDERS.get(model.partition("/")[0]), known(model)
    if row is None or row.continuing is Continuing.NONE:
        return False
    return what is not None and (not what.thinks or what.can_stop_thinking)


def rest(parameters: Parameters, prefix: str) -> Parameters:
    """What may still be said after `prefix`, of which a token has three bytes."""
    left = parameters.max_completion_tokens - len(prefix.encode("utf-8", "replace")) // 3
    return copy(parameters, max_completion_tokens=max(LEAST, left))


def known(model: str) -> Model | None:
    """What the rows say of `provider/model`."""
    provider, _, name = model.partition("/")
    row: Row | None = PROVIDERS.get(provider)
    return row.model(name) if row else None
