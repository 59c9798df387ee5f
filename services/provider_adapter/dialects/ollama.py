"""Ollama's own dialect: `POST /api/chat`, one JSON document a line, the last one with `done`."""

from __future__ import annotations

from typing import Any

import msgspec

from contracts.attempts import LiveModel, Message, RunAttempt
from contracts.providers import Provider
from contracts.stream import Usage, UsageStatus
from services.provider_adapter import foreign
from services.provider_adapter.answer import Piece, Unreadable
from services.provider_adapter.foreign import (
    an_object,
    as_arguments,
    as_count,
    as_dict,
    as_list,
    as_text,
    is_ragged,
    made_up_id,
    told_in,
)
from services.provider_adapter.wire import Frame, Lines
from services.provider_adapter.wishes import Unsayable, granted

catalog_path = "/api/tags"
framing = Lines
failure = foreign.failure


def credentials(secret: str) -> dict[str, str]:
    """The header that carries the key of Ollama's cloud; at home there is none."""
    return {"Authorization": f"Bearer {secret}"}


# --- Request out ----------------------------------------------------------------------------


def to_wire(request: RunAttempt, row: Provider) -> tuple[str, dict[str, str], bytes]:
    """Path, headers and body of the one request. Raises Unsayable."""
    wish = granted(request, row)
    how = {name: wish[name] for name in ("temperature", "top_p", "stop", "seed") if name in wish}
    body: dict[str, Any] = {
        "model": request.model,
        "messages": _messages(request.messages),
        "stream": True,
        "options": {row.token_limit_field: request.parameters.max_completion_tokens, **how},
    }
    if "tools" in wish:
        body["tools"] = wish["tools"]
    if "reasoning_effort" in wish:
        effort = wish["reasoning_effort"]
        body["think"] = False if effort == "none" else effort
    match as_dict(wish.get("response_format")).get("type"):
        case "json_schema":
            body["format"] = as_dict(wish["response_format"].get("json_schema")).get("schema")
        case "json_object":
            body["format"] = "json"
        case _:
            pass
    headers = {"Content-Type": "application/json", "Accept": "application/x-ndjson"}
    return "/api/chat", headers, msgspec.json.encode(body)


def _messages(messages: list[Message]) -> list[dict[str, Any]]:
    plain: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in messages:
        calls = [as_dict(call.get("function")) for call in message.tool_calls or []]
        form: dict[str, Any] = {"role": message.role, **_content(message)}
        if calls:
            form["tool_calls"] = [
                {"function": {**call, "arguments": as_arguments(call.get("arguments"))}}
                for call in calls
            ]
            if message.reasoning:
                form["thinking"] = message.reasoning
            names |= {
                as_text(call.get("id")): as_text(as_dict(call.get("function")).get("name"))
                for call in message.tool_calls or []
            }
        if message.role == "tool":
            form["tool_name"] = names.get(message.tool_call_id or "", message.name or "")
        plain.append(form)
    return plain


def _content(message: Message) -> dict[str, Any]:
    """Text is text, and images lie beside it."""
    if not isinstance(message.content, list):
        return {"content": message.content or ""}
    texts: list[str] = []
    images: list[str] = []
    for part in message.content:
        embedded = foreign.embedded(as_text(as_dict(part.get("image_url")).get("url")))
        if part.get("type") == "text":
            texts.append(as_text(part.get("text")))
        elif embedded is not None:
            images.append(embedded[1])
        else:
            raise Unsayable("A message may hold text and images sent along here, nothing else.")
    return {"content": "\n".join(texts)} | ({"images": images} if images else {})


# --- Line in --------------------------------------------------------------------------------


def from_wire(frame: Frame) -> Piece:
    """What a line says. Raises Unreadable."""
    line = an_object(frame.data)
    if (told := told_in(line)) is not None:
        return Piece(error=told)
    if not isinstance(line.get("message"), dict):
        raise Unreadable("neither a message nor an error")
    message = as_dict(line["message"])
    text, reasoning = as_text(message.get("content")), as_text(message.get("thinking"))
    calls = [
        _called(call, line.get("created_at"), place)
        for place, call in enumerate(as_list(message.get("tool_calls")))
    ]
    done = line.get("done") is True
    return Piece(
        text=text,
        reasoning=reasoning,
        tool_calls=calls or None,
        # Old servers give no reason; `done` alone says that the answer is whole.
        finish_reason=(as_text(line.get("done_reason")) or "stop") if done else "",
        usage=_usage(line) if done else None,
        model=as_text(line.get("model")),
        last=done,
        ragged=is_ragged(text) or is_ragged(reasoning),
    )


def from_whole(body: bytes) -> Piece:
    """What a reply says that came in one piece: it has the form of a line. Raises Unreadable."""
    return from_wire(Frame(body))


def _called(call: dict[str, Any], moment: object, place: int) -> dict[str, Any]:
    """A call in the common form. It has no id, so it gets one here."""
    function = as_dict(call.get("function"))
    name, arguments = as_text(function.get("name")), as_dict(function.get("arguments"))
    id_ = as_text(call.get("id")) or made_up_id(moment, place, name, arguments)
    said = {"name": name, "arguments": arguments}
    return {"id": id_, "type": "function", "function": said}


def _usage(line: dict[str, Any]) -> Usage | None:
    output = as_count(line.get("eval_count"))
    if output is None:
        return None
    return Usage(
        # Left out where the whole prompt was still in memory.
        input_tokens=as_count(line.get("prompt_eval_count")) or 0,
        output_tokens=output,
        status=UsageStatus.MEASURED,
    )


# --- Models in ------------------------------------------------------------------------------


def catalog(body: bytes) -> list[LiveModel]:
    """The models that were pulled. Raises Unreadable."""
    document = an_object(body)
    if not isinstance(document.get("models"), list):
        raise Unreadable("no list of models in it")
    return [
        LiveModel(id=as_text(entry["name"]))
        for entry in as_list(document["models"])
        if as_text(entry.get("name"))
    ]
