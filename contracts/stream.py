"""What comes out of one request to a provider: its beginning, its text, and exactly one end.

Chunks are live text and may be lost with the memory stream that carries them; the outcomes
(StreamStarted, StreamCompleted, ProviderError) are durable until discussion has journaled them.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct

from contracts.failures import Evidence, FailureClass


class ChunkKind(StrEnum):
    TEXT = "text"
    REASONING = "reasoning"
    TOOL_CALL = "tool_call"


class UsageStatus(StrEnum):
    MEASURED = "measured"
    """The provider said so."""
    ESTIMATED = "estimated"
    """Counted by us, bytes / 3: no tokenizer."""
    UNKNOWN = "unknown"


class Usage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of one attempt. `output_tokens` includes the reasoning tokens."""

    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    status: UsageStatus = UsageStatus.UNKNOWN


class StreamChunk(Struct, frozen=True, kw_only=True, tag="stream.chunk.v1", tag_field="type"):
    """A piece of live text. An empty one is a pulse: the provider is silent but alive.

    `offset` counts Unicode code points of this attempt and kind, from 0: a reader that holds
    `offset` characters appends; one that holds more has seen that part of it and appends the rest,
    if any (after an outage of the broker a chunk may repeat all text from 0); one that holds fewer
    missed some.
    For `tool_call`, `text` is the raw JSON of the provider's tool-call delta list and `offset`
    counts its code points likewise.
    """

    turn: str
    attempt: str
    kind: ChunkKind
    offset: int
    text: str


class _Outcome(Struct, frozen=True, kw_only=True, tag_field="type"):
    at: datetime
    workspace: str
    discussion: str
    turn: str
    attempt: str


class StreamStarted(_Outcome, frozen=True, kw_only=True, tag="stream.started.v1"):
    """The provider accepted the request (a 2xx head was read); text may follow."""

    model: str = ""
    request: str = ""
    """The provider's own id of the request."""


class StreamCompleted(_Outcome, frozen=True, kw_only=True, tag="stream.completed.v1"):
    """The answer is whole: a finish reason was seen."""

    text: str
    finish_reason: str
    """In the common terms: stop, length, tool_calls, content_filter; else the provider's own."""
    model: str
    """The model that really answered, as the provider names it."""
    reasoning: str = ""
    refusal: str = ""
    """What the model said instead of an answer, where the provider tells the two apart."""
    tool_calls: list[dict[str, Any]] = []
    """Whole calls, OpenAI's form: id, type, function{name, arguments}."""
    usage: Usage = Usage()
    request: str = ""
    account: str = ""
    """As `Evidence.account`."""
    first_token_ms: int | None = None
    """From sending the request to its first token."""
    duration_ms: int = 0
    notes: list[str] = []
    """What was asked for and left out, each a sentence that says why."""


class ProviderError(
    _Outcome, frozen=True, kw_only=True, tag="stream.error.v1", rename={"class_": "class"}
):
    """The attempt ended without an answer, or in the middle of one."""

    class_: FailureClass
    evidence: Evidence = Evidence()
    sent: bool = True
    """False only when it is proven that no byte of the request reached the provider."""
    text: str = ""
    """What had been published until then."""
    reasoning: str = ""
    usage: Usage = Usage()
    model: str = ""
    duration_ms: int = 0
    hint: str = ""
    """A slug that sharpens the class: `region`, `context_length`, `content_filter`, `expired`,
    `lease`, `cancelled`, `truncated`, `permission`, `daily`, `connect`, `stalled`, `deadline`,
    `shutdown`, `path`, `too_large`, `unreadable`, `parameter`, `internal`."""


Outcome = StreamStarted | StreamCompleted | ProviderError
