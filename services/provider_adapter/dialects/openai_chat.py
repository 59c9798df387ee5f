"""The dialect of `POST /chat/completions`, as OpenAI began it and Moonshot and many others speak
it, each with an accent: usage in the last choice, thinking beside the text, errors in any shape.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import msgspec
from msgspec import Struct

from contracts.attempts import LiveModel, Message, RunAttempt
from contracts.providers import Continuing, Provider, Reasoning
from contracts.stream import Usage, UsageStatus
from services.provider_adapter import foreign
from services.provider_adapter.answer import Piece, Unreadable
from services.provider_adapter.foreign import (
    a_document,
    an_object,
    as_count,
    as_dict,
    as_flag,
    as_price,
    as_text,
    is_ragged,
    told_in,
)
from services.provider_adapter.wire import Frame, Frames
from services.provider_adapter.wishes import granted

framing = Frames
failure = foreign.failure

catalog_path = "/models"


def credentials(secret: str) -> dict[str, str]:
    """The header that carries the key."""
    return {"Authorization": f"Bearer {secret}"}


# --- Request out ----------------------------------------------------------------------------


def to_wire(request: RunAttempt, row: Provider) -> tuple[str, dict[str, str], bytes]:
    """Path, headers and body of the one request."""
    wish = granted(request, row)
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [_message(message, request, row) for message in request.messages],
        "stream": True,
        # Always there: without it Moonshot charges the limits with its default, 131,072 on K3.
        row.token_limit_field: request.parameters.max_completion_tokens,
    }
    if row.asks_for_usage:
        body["stream_options"] = {"include_usage": True}
    body |= {row.renames.get(name, name): value for name, value in wish.items()}
    if request.prefix:
        _go_on(body, request, row)
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
    return "/chat/completions", headers, msgspec.json.encode(body)


def _go_on(body: dict[str, Any], request: RunAttempt, row: Provider) -> None:
    """The last message is how the answer begins: mark it as the provider wants it marked."""
    last: dict[str, Any] = body["messages"][-1]
    match row.continuing:
        case Continuing.PARTIAL | Continuing.PREFIX:
            last[row.continuing.value] = True
        case Continuing.FINAL_MESSAGE:
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        case Continuing.PLAIN | Continuing.NONE:
            pass
    model = row.model(request.model)
    if model is not None and model.can_stop_thinking:
        body["thinking"] = {"type": "disabled"}


def _message(message: Message, request: RunAttempt, row: Provider) -> dict[str, Any]:
    plain: dict[str, Any] = {"role": message.role}
    if message.content is not None:
        plain["content"] = message.content
    for name in ("name", "tool_calls", "tool_call_id"):
        if (value := getattr(message, name)) is not None:
            plain[name] = value
    if row.sends_thinking_back and message.role == "assistant" and message.tool_calls:
        # Moonshot refuses a tool call in the history without the thinking that led to it; a
        # single space is accepted where it was not kept (litellm sends the same).
        thinking = message.reasoning or (" " if request.thinks else "")
        if thinking and row.reasoning is not Reasoning.NONE:
            plain[row.reasoning.value] = thinking
    return plain


# --- Frame in -------------------------------------------------------------------------------


class _Delta(Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: None = None


class _Choice(Struct, gc=False):
    delta: _Delta
    index: Literal[0] = 0
    finish_reason: str | None = None
    usage: None = None


class _PlainChunk(Struct, gc=False):
    """What nearly every frame is: one choice with a bit of text. Anything else does not fit."""

    choices: list[_Choice]
    model: str = ""
    usage: None = None
    x_groq: dict[Literal["id", "seed"], str | int] | None = None
    error: None = None


_plain = msgspec.json.Decoder(_PlainChunk).decode


def from_wire(frame: Frame) -> Piece | None:
    """What a frame says, or None if it says nothing. Raises Unreadable.

    A frame of plain text is read by its form alone; the few that do not fit it, carefully.
    """
    try:
        chunk = _plain(frame.data)
        (choice,) = chunk.choices
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return _carefully(frame.data)
    delta = choice.delta
    text = delta.content or ""
    # vLLM sends both names with the same text while it renames the field.
    reasoning = delta.reasoning_content or delta.reasoning or ""
    return Piece(
        text=text,
        reasoning=reasoning,
        refusal=delta.refusal or "",
        finish_reason=choice.finish_reason or "",
        model=chunk.model,
        ragged=is_ragged(text) or is_ragged(reasoning),
    )


def from_whole(body: bytes) -> Piece:
    """What a reply says that came in one piece though a stream was asked. Raises Unreadable."""
    piece = _piece(an_object(body))
    piece.last = True
    return piece


def _carefully(data: bytes) -> Piece | None:
    match data.strip():
        case b"":
            return None
        case b"[DONE]":
            return Piece(last=True)
        case stripped:
            return _piece(an_object(stripped))


def _piece(document: dict[str, Any]) -> Piece:
    if (told := told_in(document)) is not None:
        return Piece(error=told)
    choices = document.get("choices", ...)
    if choices is None:
        choices = []  # proxies write null where the vendor writes an empty list, beside a usage
    if not isinstance(choices, list):
        raise Unreadable("neither choices nor an error")
    usage = document.get("usage") or as_dict(document.get("x_groq")).get("usage")
    piece = Piece(model=as_text(document.get("model")), usage=_usage(usage))
    choice = next(
        (c for c in map(as_dict, cast(list[Any], choices)) if c and c.get("index", 0) == 0), None
    )
    if choice is None:
        return piece
    delta = as_dict(choice.get("delta")) or as_dict(choice.get("message"))
    piece.text, thought = _content(delta.get("content"))
    piece.reasoning = (
        as_text(delta.get("reasoning_content")) or as_text(delta.get("reasoning")) or thought
    )
    piece.refusal = as_text(delta.get("refusal"))
    piece.finish_reason = as_text(choice.get("finish_reason"))
    piece.usage = piece.usage or _usage(choice.get("usage"))
    calls = delta.get("tool_calls")
    if isinstance(calls, list):
        piece.tool_calls = [call for call in map(as_dict, cast(list[Any], calls)) if call] or None
    piece.ragged = is_ragged(piece.text) or is_ragged(piece.reasoning)
    return piece


def _content(content: object) -> tuple[str, str]:
    """Text and thinking of a content that may be a string or, at Mistral, a list of parts."""
    if not isinstance(content, list):
        return as_text(content), ""
    text = thought = ""
    for part in map(as_dict, cast(list[Any], content)):
        text += as_text(part.get("text"))
        thinking = part.get("thinking")
        if isinstance(thinking, list):
            thought += "".join(
                as_text(as_dict(bit).get("text")) for bit in cast(list[Any], thinking)
            )
        else:
            thought += as_text(thinking)
    return text, thought


def _usage(said: object) -> Usage | None:
    """Tokens as counted by the provider."""
    usage = as_dict(said)
    if not usage:
        return None
    input_, output = as_count(usage.get("prompt_tokens")), as_count(usage.get("completion_tokens"))
    if input_ is None and output is None:
        return None
    details = as_dict(usage.get("completion_tokens_details"))
    cached = as_count(as_dict(usage.get("prompt_tokens_details")).get("cached_tokens"))
    for name in ("cached_tokens", "prompt_cache_hit_tokens"):
        cached = cached if cached is not None else as_count(usage.get(name))
    input_, output = input_ or 0, output or 0
    reasoning = as_count(details.get("reasoning_tokens"))
    if reasoning and as_count(usage.get("total_tokens")) == input_ + output + reasoning:
        output += reasoning  # xAI counts thinking beside the output; here it is part of it
    return Usage(
        input_tokens=input_,
        output_tokens=output,
        reasoning_tokens=reasoning,
        cached_tokens=cached,
        status=UsageStatus.MEASURED,
    )


# --- Models in ------------------------------------------------------------------------------


def catalog(body: bytes) -> list[LiveModel]:
    """The models of its own list. Raises Unreadable."""
    document = a_document(body)
    entries = cast(
        object, document if isinstance(document, list) else as_dict(document).get("data")
    )
    if not isinstance(entries, list):
        raise Unreadable("no list of models in it")
    return [
        LiveModel(
            id=as_text(entry["id"]),
            context_window=next(
                filter(None, (as_count(entry.get(name)) for name in _WINDOW)), None
            ),
            created=as_count(entry.get("created")),
            **_abilities(entry),
            **_prices(as_dict(entry.get("pricing"))),
        )
        for entry in map(as_dict, cast(list[Any], entries))
        if as_text(entry.get("id"))
    ]


_WINDOW = ("context_length", "context_window", "max_model_len", "max_context_length")
"""How Moonshot and OpenRouter, Groq, vLLM and Mistral call it."""


def _abilities(entry: dict[str, Any]) -> dict[str, Any]:
    """What the entry says the model can do, in whichever of the vendors' words it has."""
    moonshot = as_flag(entry.get("supports_reasoning")), as_flag(entry.get("supports_image_in"))
    if moonshot != (None, None):
        thinks, sees = moonshot
        return {"thinks": thinks, "sees": sees}
    mistral = as_dict(entry.get("capabilities"))
    if "completion_chat" in mistral:
        return {
            "thinks": as_flag(mistral.get("reasoning")),
            "sees": as_flag(mistral.get("vision")),
            "calls_tools": as_flag(mistral.get("function_calling")),
            "chats": as_flag(mistral.get("completion_chat")),
        }
    shape = as_dict(entry.get("architecture"))  # OpenRouter's
    takes, gives = shape.get("input_modalities"), shape.get("output_modalities")
    options = entry.get("supported_parameters")
    return {
        "thinks": "reasoning" in options if isinstance(options, list) else None,
        "sees": "image" in takes if isinstance(takes, list) else None,
        "calls_tools": "tools" in options if isinstance(options, list) else None,
        "chats": "text" in gives
        if isinstance(gives, list)
        else _TOGETHERS_KINDS.get(as_text(entry.get("type"))),
    }


_TOGETHERS_KINDS = {
    "chat": True,
    "language": False,  # goes on with a text, knows no roles
    "embedding": False,
    "image": False,
    "moderation": False,
    "rerank": False,
    "audio": False,
    "transcribe": False,
    "video": False,
}
"""What Together says of each of its models (docs.together.ai, "List all models")."""


def _prices(told: dict[str, Any]) -> dict[str, Any]:
    """USD for a million tokens: OpenRouter tells it for one, as text, Together for a million."""
    if "prompt" in told:
        names, scale = ("prompt", "input_cache_read", "completion"), 1_000_000
    else:
        names, scale = ("input", "cached_input", "output"), 1
    input_, cached, output = (as_price(told.get(name), scale) for name in names)
    if input_ is None or output is None:
        return {}
    return {"input_price": input_, "cached_price": cached, "output_price": output}
