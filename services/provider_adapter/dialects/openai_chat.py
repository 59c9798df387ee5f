"""The dialect of `POST /chat/completions`, as OpenAI began it and Moonshot and many others speak
it, each with an accent: usage in the last choice, thinking beside the text, errors in any shape.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct

from contracts.attempts import LiveModel, Message, RunAttempt
from contracts.providers import Provider, Reasoning
from contracts.stream import Usage, UsageStatus
from services.provider_adapter import classify
from services.provider_adapter.answer import Piece, Told, Unreadable
from services.provider_adapter.wire import Frame

catalog_path = "/models"


def credentials(secret: str) -> dict[str, str]:
    """The header that carries the key."""
    return {"Authorization": f"Bearer {secret}"}


# --- Request out ----------------------------------------------------------------------------


def to_wire(request: RunAttempt, row: Provider) -> tuple[str, dict[str, str], bytes]:
    """Path, headers and body of the one request."""
    wish = request.parameters
    model = row.model(request.model)
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [_message(message, request, row) for message in request.messages],
        "stream": True,
        # Always there: without it Moonshot charges the limits with its default, 131,072 on K3.
        row.token_limit_field: wish.max_completion_tokens,
    }
    if row.asks_for_usage:
        body["stream_options"] = {"include_usage": True}
    # A model with its own fixed sampling answers 400 to any other value, also to a like one.
    free = not (model.fixed_temperature if model is not None else row.fixed_temperature)
    optional = {
        "temperature": wish.temperature if free else None,
        "top_p": wish.top_p if free else None,
        "stop": wish.stop,
        "response_format": wish.response_format,
        "tools": wish.tools,
        "tool_choice": wish.tool_choice,
        "reasoning_effort": wish.reasoning_effort,
        "seed": wish.seed,
    }
    body |= {name: value for name, value in optional.items() if value is not None}
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
    return "/chat/completions", headers, msgspec.json.encode(body)


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
        ragged=_is_ragged(text) or _is_ragged(reasoning),
    )


def from_whole(body: bytes) -> Piece:
    """What a reply says that came in one piece though a stream was asked. Raises Unreadable."""
    piece = _piece(_object(body))
    piece.last = True
    return piece


def _carefully(data: bytes) -> Piece | None:
    match data.strip():
        case b"":
            return None
        case b"[DONE]":
            return Piece(last=True)
        case stripped:
            return _piece(_object(stripped))


def _object(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not JSON: {len(data)} bytes") from error
    if isinstance(document, list):  # Gemini's compatible surface wraps its errors in a list
        document = next(iter(cast(list[Any], document)), None)
    if not isinstance(document, dict):
        raise Unreadable("not a JSON object")
    return cast(dict[str, Any], document)


def _piece(document: dict[str, Any]) -> Piece:
    if (told := _told(document)) is not None:
        return Piece(error=told)
    choices = document.get("choices")
    if not isinstance(choices, list):
        raise Unreadable("neither choices nor an error")
    usage = document.get("usage") or _dict(document.get("x_groq")).get("usage")
    piece = Piece(model=_text(document.get("model")), usage=_usage(usage))
    choice = next(
        (c for c in map(_dict, cast(list[Any], choices)) if c and c.get("index", 0) == 0), None
    )
    if choice is None:
        return piece
    delta = _dict(choice.get("delta")) or _dict(choice.get("message"))
    piece.text, thought = _content(delta.get("content"))
    piece.reasoning = (
        _text(delta.get("reasoning_content")) or _text(delta.get("reasoning")) or thought
    )
    piece.refusal = _text(delta.get("refusal"))
    piece.finish_reason = _text(choice.get("finish_reason"))
    piece.usage = piece.usage or _usage(choice.get("usage"))
    calls = delta.get("tool_calls")
    if isinstance(calls, list):
        piece.tool_calls = [call for call in map(_dict, cast(list[Any], calls)) if call] or None
    piece.ragged = _is_ragged(piece.text) or _is_ragged(piece.reasoning)
    return piece


def _content(content: object) -> tuple[str, str]:
    """Text and thinking of a content that may be a string or, at Mistral, a list of parts."""
    if not isinstance(content, list):
        return _text(content), ""
    text = thought = ""
    for part in map(_dict, cast(list[Any], content)):
        text += _text(part.get("text"))
        thinking = part.get("thinking")
        if isinstance(thinking, list):
            thought += "".join(_text(_dict(bit).get("text")) for bit in cast(list[Any], thinking))
        else:
            thought += _text(thinking)
    return text, thought


def _usage(said: object) -> Usage | None:
    """Tokens as counted by the provider."""
    usage = _dict(said)
    if not usage:
        return None
    input_, output = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if input_ is None and output is None:
        return None
    details = _dict(usage.get("completion_tokens_details"))
    cached = _count(_dict(usage.get("prompt_tokens_details")).get("cached_tokens"))
    for name in ("cached_tokens", "prompt_cache_hit_tokens"):
        cached = cached if cached is not None else _count(usage.get(name))
    input_, output = input_ or 0, output or 0
    reasoning = _count(details.get("reasoning_tokens"))
    if reasoning and _count(usage.get("total_tokens")) == input_ + output + reasoning:
        output += reasoning  # xAI counts thinking beside the output; here it is part of it
    return Usage(
        input_tokens=input_,
        output_tokens=output,
        reasoning_tokens=reasoning,
        cached_tokens=cached,
        status=UsageStatus.MEASURED,
    )


# --- Failure in -----------------------------------------------------------------------------


def failure(
    status: int, headers: Mapping[str, str], body: bytes, row: Provider, *, now: datetime
) -> classify.Verdict:
    """Why it did not answer. `headers` by their names in lower case."""
    try:
        told = _told(_object(body), whole=True)
    except Unreadable:
        told = None
    return classify.verdict(told, status=status, headers=headers, body=body, row=row, now=now)


def _told(document: dict[str, Any], *, whole: bool = False) -> Told | None:
    """The error in a document: an object, a string, a flat one, or FastAPI's `detail`.

    `whole`: the document is the body of an error, so what it has is an error's.
    """
    error = document.get("error")
    if isinstance(error, dict):
        said = cast(dict[str, Any], error)
    elif error:
        # xAI `{"code", "error": "…"}`, vLLM, Moonshot's unknown path `{"error": "url.not_found"}`.
        said = {**document, "message": document.get("message") or error}
        said.setdefault("type", document.get("reason") or error)
    elif document.get("object") == "error" or (whole and "message" in document):
        said = document
    elif whole and "detail" in document:
        first = document["detail"]
        if isinstance(first, list):
            first = next(iter(cast(list[Any], first)), None)
        said = _dict(first) or {"message": first}
        said = {**said, "message": said.get("message") or said.get("msg")}
    else:
        return Told() if whole and document else None
    message = said.get("message")
    if not isinstance(message, str):
        message = "" if message is None else json.dumps(message)
    kind = _label(said.get("type")) or _label(
        said.get("status")
    )  # `status` is Google's word for it
    return Told(type=kind, code=_label(said.get("code")), message=message)


def _label(value: object) -> str:
    """A type or code, which may be a number; a sentence is none."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return "" if " " in text else text


# --- Models in ------------------------------------------------------------------------------


def catalog(body: bytes) -> list[LiveModel]:
    """The models of its own list. Raises Unreadable."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unreadable("the list of models is not JSON") from error
    entries = cast(object, document if isinstance(document, list) else _dict(document).get("data"))
    if not isinstance(entries, list):
        raise Unreadable("no list of models in it")
    return [
        LiveModel(
            id=_text(entry["id"]),
            context_window=next(filter(None, (_count(entry.get(name)) for name in _WINDOW)), None),
            thinks=_flag(entry.get("supports_reasoning")),
            created=_count(entry.get("created")),
        )
        for entry in map(_dict, cast(list[Any], entries))
        if _text(entry.get("id"))
    ]


_WINDOW = ("context_length", "context_window", "max_model_len", "max_context_length")
"""How Moonshot and OpenRouter, Groq, vLLM and Mistral call it."""

# --- What a foreign value is ----------------------------------------------------------------


def _dict(value: object) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    sane = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53
    return cast(int, value) if sane else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _is_ragged(text: str) -> bool:
    r"""Whether it has half of a surrogate pair in it: `\ud83d` alone, which K2 was seen to send."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
