"""The dialect of `POST /v1/messages`, Anthropic's own, which Moonshot speaks as well: named events,
content in numbered blocks, the instructions beside the conversation.
"""

from __future__ import annotations

from datetime import datetime
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
    as_flag,
    as_list,
    as_text,
    is_ragged,
    told_in,
)
from services.provider_adapter.wire import Frame, Frames
from services.provider_adapter.wishes import Unsayable, granted

catalog_path = "/v1/models?limit=1000"  # the largest page there is; all models fit in it
framing = Frames
failure = foreign.failure


def credentials(secret: str) -> dict[str, str]:
    """The headers that carry the key; the version belongs to every request."""
    return {"x-api-key": secret, "anthropic-version": "2023-06-01"}


# --- Request out ----------------------------------------------------------------------------


def to_wire(request: RunAttempt, row: Provider) -> tuple[str, dict[str, str], bytes]:
    """Path, headers and body of the one request. Raises Unsayable."""
    wish = granted(request, row)
    system = "\n\n".join(_text_of(m) for m in request.messages if m.role == "system")
    turns = _turns([m for m in request.messages if m.role != "system"])
    if not turns:  # a conversation cannot consist of instructions alone
        turns, system = [{"role": "user", "content": [{"type": "text", "text": system}]}], ""
    body: dict[str, Any] = {
        "model": request.model,
        "messages": turns,
        "stream": True,
        row.token_limit_field: request.parameters.max_completion_tokens,
    }
    if system:
        body["system"] = system
    body |= {name: wish[name] for name in ("temperature", "top_p") if name in wish}
    if "stop" in wish:
        body["stop_sequences"] = wish["stop"]
    if "tools" in wish:
        body["tools"] = [_tool(tool) for tool in wish["tools"]]
    if "tool_choice" in wish:
        body["tool_choice"] = _choice(wish["tool_choice"])
    output: dict[str, Any] = {}
    if "reasoning_effort" in wish:
        output["effort"] = wish["reasoning_effort"]
    if "response_format" in wish and (form := _format(wish["response_format"])):
        output["format"] = form
    if output:
        body["output_config"] = output
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
    return "/v1/messages", headers, msgspec.json.encode(body)


def _turns(messages: list[Message]) -> list[dict[str, Any]]:
    """Turns of blocks. Neighbours of one role are joined: all results of one turn's tools must
    come in one message.
    """
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        if not (blocks := _blocks(message)):
            continue  # an empty text is refused
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"].extend(blocks)
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        result = {"type": "tool_result", "tool_use_id": message.tool_call_id or ""}
        return [{**result, "content": _content(message)}]
    calls = message.tool_calls or []
    signature = (
        as_text(as_dict(calls[0].get("extra_content")).get("thinking_signature")) if calls else ""
    )
    thinking = {"type": "thinking", "thinking": message.reasoning or "", "signature": signature}
    uses = [
        {
            "type": "tool_use",
            "id": as_text(call.get("id")),
            "name": as_text(as_dict(call.get("function")).get("name")),
            "input": as_arguments(as_dict(call.get("function")).get("arguments")),
        }
        for call in calls
    ]
    return [*([thinking] if signature else []), *_content(message), *uses]


def _content(message: Message) -> list[dict[str, Any]]:
    if not isinstance(message.content, list):
        text = message.content or ""
        return [{"type": "text", "text": text}] if text.strip() else []
    return [block for part in message.content if (block := _part(part))]


def _part(part: dict[str, Any]) -> dict[str, Any] | None:
    match part.get("type"):
        case "text":
            text = as_text(part.get("text"))
            return {"type": "text", "text": text} if text.strip() else None
        case "image_url":
            url = as_text(as_dict(part.get("image_url")).get("url"))
            if (embedded := foreign.embedded(url)) is None:
                return {"type": "image", "source": {"type": "url", "url": url}}
            kind, data = embedded
            source = {"type": "base64", "media_type": kind, "data": data}
            return {"type": "image", "source": source}
        case other:
            raise Unsayable(f"A message has a part of type {other!r}, which cannot be sent there.")


def _text_of(message: Message) -> str:
    return "\n\n".join(as_text(block.get("text")) for block in _content(message))


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = as_dict(tool.get("function"))
    schema = as_dict(function.get("parameters")) or {"type": "object", "properties": {}}
    form: dict[str, Any] = {"name": as_text(function.get("name")), "input_schema": schema}
    return form | {k: function[k] for k in ("description",) if function.get(k)}


def _choice(choice: object) -> dict[str, Any]:
    if isinstance(choice, str):
        return {"type": "any" if choice == "required" else choice}
    return {"type": "tool", "name": as_text(as_dict(as_dict(choice).get("function")).get("name"))}


def _format(wish: dict[str, Any]) -> dict[str, Any] | None:
    match wish.get("type"):
        case "json_schema":
            schema = as_dict(wish.get("json_schema")).get("schema")
            return {"type": "json_schema", "schema": schema}
        case "text":
            return None
        case _:
            raise Unsayable("response_format can only be text or json_schema here.")


# --- Frame in -------------------------------------------------------------------------------

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""Into the common terms; what is not here keeps its name (`pause_turn`)."""


def from_wire(frame: Frame) -> Piece | None:
    """What an event says, or None if it says nothing: pings, and events yet to be invented.

    Raises Unreadable.
    """
    event = an_object(frame.data)
    match event.get("type"):
        case "message_start":
            message = as_dict(event.get("message"))
            # The output is not counted yet: one token, whatever comes.
            usage = _usage(message.get("usage"), UsageStatus.ESTIMATED)
            return Piece(model=as_text(message.get("model")), usage=usage)
        case "content_block_start":
            return _begun(as_dict(event.get("content_block")), as_count(event.get("index")) or 0)
        case "content_block_delta":
            return _delta(as_dict(event.get("delta")), as_count(event.get("index")) or 0)
        case "message_delta":
            reason = as_text(as_dict(event.get("delta")).get("stop_reason"))
            return Piece(
                finish_reason=_FINISH.get(reason, reason), usage=_usage(event.get("usage"))
            )
        case "message_stop":
            return Piece(last=True)
        case _:
            told = told_in(event)
            return Piece(error=told) if told is not None else None


def from_whole(body: bytes) -> Piece:
    """What a reply says that came in one piece though a stream was asked. Raises Unreadable."""
    message = an_object(body)
    if (told := told_in(message)) is not None:
        return Piece(error=told)
    if message.get("type") != "message":
        raise Unreadable("neither a message nor an error")
    reason = as_text(message.get("stop_reason"))
    whole = Piece(
        model=as_text(message.get("model")),
        finish_reason=_FINISH.get(reason, reason),
        usage=_usage(message.get("usage")),
        tool_calls=[],
        last=True,
    )
    for index, block in enumerate(as_list(message.get("content"))):
        piece = _begun(block, index)
        whole.text += piece.text
        whole.reasoning += piece.reasoning
        whole.signature += piece.signature
        whole.tool_calls = [*(whole.tool_calls or []), *(piece.tool_calls or [])]
    whole.ragged = is_ragged(whole.text) or is_ragged(whole.reasoning)
    return whole


def _begun(block: dict[str, Any], index: int) -> Piece:
    """A block, which in a stream is empty at first."""
    match block.get("type"):
        case "text":
            return _said(text=as_text(block.get("text")))
        case "thinking":
            thought = _said(reasoning=as_text(block.get("thinking")))
            thought.signature = as_text(block.get("signature"))
            return thought
        case "tool_use":
            given = as_dict(block.get("input"))
            function = {"name": block.get("name"), "arguments": given or ""}
            call = {"index": index, "id": block.get("id"), "type": "function", "function": function}
            return Piece(tool_calls=[call])
        case _:
            return Piece()


def _delta(delta: dict[str, Any], index: int) -> Piece | None:
    match delta.get("type"):
        case "text_delta":
            return _said(text=as_text(delta.get("text")))
        case "thinking_delta":
            return _said(reasoning=as_text(delta.get("thinking")))
        case "signature_delta":
            return Piece(signature=as_text(delta.get("signature")))
        case "input_json_delta":
            arguments = as_text(delta.get("partial_json"))
            return Piece(tool_calls=[{"index": index, "function": {"arguments": arguments}}])
        case _:
            return None


def _said(*, text: str = "", reasoning: str = "") -> Piece:
    return Piece(text=text, reasoning=reasoning, ragged=is_ragged(text) or is_ragged(reasoning))


def _usage(said: object, status: UsageStatus = UsageStatus.MEASURED) -> Usage | None:
    """Its input leaves out what was read from and written to the cache; ours has all of it."""
    usage = as_dict(said)
    output = as_count(usage.get("output_tokens"))
    if output is None:
        return None
    read = as_count(usage.get("cache_read_input_tokens"))
    written = as_count(usage.get("cache_creation_input_tokens")) or 0
    return Usage(
        input_tokens=(as_count(usage.get("input_tokens")) or 0) + (read or 0) + written,
        output_tokens=output,
        reasoning_tokens=as_count(
            as_dict(usage.get("output_tokens_details")).get("thinking_tokens")
        ),
        cached_tokens=read,
        status=status,
    )


# --- Models in ------------------------------------------------------------------------------


def catalog(body: bytes) -> list[LiveModel]:
    """The models of its own list. Raises Unreadable."""
    document = an_object(body)
    if not isinstance(document.get("data"), list):
        raise Unreadable("no list of models in it")
    return [
        LiveModel(
            id=as_text(entry["id"]),
            context_window=as_count(entry.get("max_input_tokens")),
            **_abilities(as_dict(entry.get("capabilities"))),
            created=_moment(entry.get("created_at")),
        )
        for entry in as_list(document["data"])
        if as_text(entry.get("id"))
    ]


def _abilities(told: dict[str, Any]) -> dict[str, Any]:
    """Newer lists tell (`capabilities.thinking.supported`); older ones do not."""
    return {
        "thinks": as_flag(as_dict(told.get("thinking")).get("supported")),
        "sees": as_flag(as_dict(told.get("image_input")).get("supported")),
    }


def _moment(text: object) -> int | None:
    try:
        return int(datetime.fromisoformat(as_text(text)).timestamp())
    except ValueError:
        return None
