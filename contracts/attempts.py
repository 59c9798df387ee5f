"""What discussion asks of provider_adapter: one request to a provider, or one look at models."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

from contracts.endpoints import CustomProvider
from contracts.failures import Balance, Evidence, FailureClass


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message of a conversation, in the common form; a dialect translates it."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    """Text, or OpenAI's content parts passed through."""
    name: str | None = None
    reasoning: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class KeyRef(Struct, frozen=True, kw_only=True):
    """Which key, never the key."""

    key: str
    version: int


class Parameters(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the asker wishes of the answer; what the model cannot take is left out by the row."""

    max_completion_tokens: int
    """Always explicit: providers charge their limits by it before they answer."""
    temperature: float | None = None
    top_p: float | None = None
    stop: list[str] | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    reasoning_effort: str | None = None
    seed: int | None = None


class RunAttempt(Struct, frozen=True, kw_only=True):
    """`attempt`: make exactly one request. Accepted at once; the end arrives as an outcome."""

    workspace: str
    discussion: str
    turn: str
    attempt: str
    provider: str
    endpoint: str
    model: str
    key: KeyRef | None
    """None for a provider that takes no key."""
    messages: list[Message]
    parameters: Parameters
    expires_at: datetime
    """Checked right before sending: a request that waited too long is not sent any more."""
    deadline: datetime
    """When the answer must be whole."""
    thinks: bool = False
    """The model thinks before it speaks: patience is longer."""
    custom: CustomProvider | None = None
    """What the adapter has to know of a provider that is not built in."""
    prefix: str = ""
    """How the answer begins: an earlier attempt broke off there, and this one goes on. Its chunks
    begin at that offset; the text of its outcome is the whole."""


class Accepted(Struct, frozen=True, kw_only=True):
    attempt: str


class CancelAttempt(Struct, frozen=True, kw_only=True):
    """`cancel` (every replica hears it): stop this attempt if it is yours."""

    workspace: str
    discussion: str
    attempt: str


class RunProbe(Struct, frozen=True, kw_only=True):
    """`probe`: one look, free of charge, on the endpoint, with this key."""

    workspace: str
    request: str
    provider: str
    endpoint: str
    key: KeyRef | None
    expires_at: datetime
    at: Literal["models", "balance"] = "models"
    """`GET /models`; or the account's balance, where the provider's row says how to ask for it."""
    custom: CustomProvider | None = None
    """As in `RunAttempt`."""


class LiveModel(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model as the provider's own list has it; None is what it does not say."""

    id: str
    context_window: int | None = None
    thinks: bool | None = None
    created: int | None = None
    chats: bool | None = None
    """False for what makes vectors, pictures or sound, or judges a text."""
    sees: bool | None = None
    """Takes pictures."""
    calls_tools: bool | None = None
    input_price: Decimal | None = None
    """USD for a million tokens."""
    cached_price: Decimal | None = None
    output_price: Decimal | None = None


class ProbeResult(Struct, frozen=True, kw_only=True):
    """What `GET /models` said: the models, or why not."""

    models: list[LiveModel] = []
    failure: FailureClass | None = None
    evidence: Evidence = Evidence()
    hint: str = ""
    sent: bool = True
    account: str = ""
    """As `Evidence.account`."""
    balance: Balance | None = None
    """If that was asked for and told."""
