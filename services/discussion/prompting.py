"""What is sent to a model: the persona's prompt, then the question, and how long to answer."""

from __future__ import annotations

from msgspec.structs import replace as copy

from contracts.attempts import Message, Parameters
from contracts.discussion import DiscussionOpened
from contracts.providers import PROVIDERS, Model
from contracts.providers import Provider as Row

SHORT = 1_024
"""Tokens of an answer unless asked otherwise: providers charge rate limits by it beforehand."""

LONG = 8_192
"""For models that think: their thoughts count too."""


def messages(opened: DiscussionOpened, participant: int) -> list[Message]:
    """The conversation as the participant sees it."""
    prompt = opened.instructions.get(opened.participants[participant].persona, "")
    head = [Message(role="system", content=prompt)] if prompt else []
    said = opened.messages or [Message(role="user", content=opened.topic)]
    return [*head, *said]


def parameters(opened: DiscussionOpened, participant: int) -> Parameters:
    """What was asked for, with an explicit and tight bound where nobody set one."""
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


def known(model: str) -> Model | None:
    """What the rows say of `provider/model`."""
    provider, _, name = model.partition("/")
    row: Row | None = PROVIDERS.get(provider)
    return row.model(name) if row else None
