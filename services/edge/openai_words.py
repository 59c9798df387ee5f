"""What OpenAI's clients expect back: completions, the pieces of a stream, models, errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from contracts.discussion_events import TurnCompleted
from contracts.failures import Failure, FailureClass, Problem
from contracts.stream import ChunkKind, Usage

DONE = b"data: [DONE]\n\n"
WAITING = b": waiting\n\n"

NO_RETRY = {"x-should-retry": "false"}
"""Read by OpenAI's own clients: trying again is Parley's business, nobody else's."""


# --- Whole answers ----------------------------------------------------------------------------


class CompletionUsage(Struct, frozen=True, kw_only=True):
    """Tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int] | UnsetType = UNSET
    completion_tokens_details: dict[str, int] | UnsetType = UNSET


class AssistantMessage(Struct, frozen=True, kw_only=True):
    """What the model said."""

    role: str
    content: str | None
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[dict[str, Any]] | UnsetType = UNSET


class Choice(Struct, frozen=True, kw_only=True):
    """The answer; there is always one."""

    index: int
    message: AssistantMessage
    finish_reason: str


class Completion(Struct, frozen=True, kw_only=True):
    """A completed chat."""

    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: CompletionUsage


class ModelCard(Struct, frozen=True, kw_only=True):
    """One model."""

    id: str
    object: str = "model"
    created: int = 0
    owned_by: str = "parley"


class ModelCards(Struct, frozen=True, kw_only=True):
    """All models."""

    data: list[ModelCard]
    object: str = "list"


def usage_of(usage: Usage) -> CompletionUsage:
    """Our counts under OpenAI's names."""
    cached, reasoning = usage.cached_tokens, usage.reasoning_tokens
    return CompletionUsage(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.input_tokens + usage.output_tokens,
        prompt_tokens_details=UNSET if cached is None else {"cached_tokens": cached},
        completion_tokens_details=(UNSET if reasoning is None else {"reasoning_tokens": reasoning}),
    )


def completion_of(id: str, created: int, turn: TurnCompleted) -> Completion:
    """A completed turn as a completed chat."""
    message = AssistantMessage(
        role="assistant",
        content=turn.text if turn.text or not turn.tool_calls else None,
        reasoning_content=turn.reasoning or UNSET,
        tool_calls=turn.tool_calls or UNSET,
    )
    return Completion(
        id=id,
        object="chat.completion",
        created=created,
        model=turn.model,
        choices=[Choice(index=0, message=message, finish_reason=turn.finish_reason)],
        usage=usage_of(turn.usage),
    )


# --- Pieces of a stream -----------------------------------------------------------------------

_FIELD: Mapping[ChunkKind, bytes] = {
    ChunkKind.TEXT: b"content",
    ChunkKind.REASONING: b"reasoning_content",
    ChunkKind.TOOL_CALL: b"tool_calls",
}


class Pieces:
    """Frames of one stream; what is the same in all of them is encoded once."""

    def __init__(self, id: str, created: int, model: str) -> None:
        told = {"id": id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._head = msgspec.json.encode(told)[:-1]
        self._open = b"data: " + self._head + b',"choices":[{"index":0,"delta":{'
        self._shut = b'},"finish_reason":null}]}\n\n'

    def first(self) -> bytes:
        """Who speaks."""
        return self._open + b'"role":"assistant","content":""' + self._shut

    def delta(self, kind: ChunkKind, value: str | list[dict[str, Any]]) -> bytes:
        """A piece of text, or of tool calls."""
        piece = b'"%b":%b' % (_FIELD[kind], msgspec.json.encode(value))
        return self._open + piece + self._shut

    def last(self, finish_reason: str) -> bytes:
        """How it ended."""
        return self._open + b'},"finish_reason":%b}]}\n\n' % msgspec.json.encode(finish_reason)

    def usage(self, usage: CompletionUsage) -> bytes:
        """What it took."""
        counts = msgspec.json.encode(usage)
        return b'data: %b,"choices":[],"usage":%b}\n\n' % (self._head, counts)


# --- Errors -----------------------------------------------------------------------------------

UNKNOWN_MODEL = frozenset(
    {"unknown-model", "unknown-provider", "unknown-persona", "retired-model", "no-key", "no-model"}
)


class WireError(Struct, frozen=True, kw_only=True):
    """An error in OpenAI's shape."""

    status: int
    message: str
    type: str
    code: str
    param: str | None = None

    def body(self) -> bytes:
        """As JSON."""
        told = {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }
        return msgspec.json.encode({"error": told})

    def frame(self) -> bytes:
        """As the last frame of a stream that has begun."""
        return b"data: " + self.body() + b"\n\n"


def error_of(problem: Problem) -> WireError:
    """A refusal, said as OpenAI would."""
    near = f" Did you mean {', '.join(problem.nearest)}?" if problem.nearest else ""
    told = problem.detail or problem.title
    message = f"{told}{near} {problem.next_step}".strip()
    param = problem.errors[0]["field"].removeprefix("options.") if problem.errors else None
    if problem.type in UNKNOWN_MODEL:
        return WireError(
            status=404,
            message=message,
            type="invalid_request_error",
            code="model_not_found",
            param="model",
        )
    if problem.status == 401:
        return WireError(
            status=401, message=message, type="invalid_request_error", code="invalid_api_key"
        )
    status = 400 if problem.status == 422 else problem.status
    kind = "server_error" if status >= 500 else _KINDS.get(status, "invalid_request_error")
    return WireError(
        status=status,
        message=message,
        type=kind,
        code=problem.type.replace("-", "_"),
        param=param,
    )


_KINDS = {402: "insufficient_quota", 403: "permission_error", 429: "rate_limit_error"}

_FAILURES: Mapping[FailureClass, tuple[int, str, str]] = {
    FailureClass.REQUEST: (400, "invalid_request_error", "request_refused"),
    FailureClass.MODEL: (404, "invalid_request_error", "model_not_found"),
    FailureClass.BILLING: (429, "insufficient_quota", "insufficient_quota"),
    FailureClass.THROTTLED: (429, "rate_limit_error", "rate_limit_exceeded"),
    FailureClass.AUTH: (503, "server_error", "provider_key_refused"),
    FailureClass.OVERLOADED: (503, "server_error", "provider_overloaded"),
}


def failure_of(failure: Failure) -> WireError:
    """Why a turn cannot be answered, said as OpenAI would."""
    status, kind, code = _FAILURES.get(
        failure.class_, (502, "server_error", f"provider_{failure.class_}")
    )
    message = f"{failure.title}. {failure.detail} {failure.next_step}".strip()
    return WireError(status=status, message=message, type=kind, code=code)
