"""Google Gemini's own dialect: every event is a whole little response, and the stream just ends."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import quote

import msgspec

from contracts.attempts import LiveModel, Message, RunAttempt
from contracts.providers import Provider
from contracts.stream import Usage, UsageStatus
from services.provider_adapter import foreign
from services.provider_adapter.answer import Piece, Told, Unreadable
from services.provider_adapter.foreign import (
    a_document,
    an_object,
    as_arguments,
    as_count,
    as_dict,
    as_flag,
    as_list,
    as_text,
    is_ragged,
    made_up_id,
    told_in,
)
from services.provider_adapter.wire import Frame, Frames
from services.provider_adapter.wishes import Unsayable, granted

catalog_path = "/v1beta/models?pageSize=1000"  # the largest page there is; all models fit in it
framing = Frames
failure = foreign.failure


def credentials(secret: str) -> dict[str, str]:
    """The header that carries the key."""
    return {"x-goog-api-key": secret}


# --- Request out ----------------------------------------------------------------------------


def to_wire(request: RunAttempt, row: Provider) -> tuple[str, dict[str, str], bytes]:
    """Path, headers and body of the one request. Raises Unsayable."""
    wish = granted(request, row)
    system = [part for m in request.messages if m.role == "system" for part in _parts(m)]
    turns = _turns(request.messages)
    if not turns:  # a conversation cannot consist of instructions alone
        turns, system = [{"role": "user", "parts": system}], []
    how: dict[str, Any] = {row.token_limit_field: request.parameters.max_completion_tokens}
    for name, theirs in (
        ("temperature", "temperature"),
        ("top_p", "topP"),
        ("stop", "stopSequences"),
        ("seed", "seed"),
    ):
        if name in wish:
            how[theirs] = wish[name]
    if "response_format" in wish:
        how |= _format(wish["response_format"])
    thinking: dict[str, Any] = {"includeThoughts": True} if request.thinks else {}
    if "reasoning_effort" in wish:
        thinking["thinkingLevel"] = wish["reasoning_effort"]
    if thinking:
        how["thinkingConfig"] = thinking
    body: dict[str, Any] = {"contents": turns, "generationConfig": how}
    if system:
        body["systemInstruction"] = {"parts": system}
    if "tools" in wish:
        body["tools"] = [{"functionDeclarations": [_tool(tool) for tool in wish["tools"]]}]
    if "tool_choice" in wish:
        body["toolConfig"] = {"functionCallingConfig": _choice(wish["tool_choice"])}
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
    model = quote(request.model, safe="")
    path = f"/v1beta/models/{model}:streamGenerateContent?alt=sse"
    return path, headers, msgspec.json.encode(body)


def _turns(messages: list[Message]) -> list[dict[str, Any]]:
    """Turns of parts; neighbours of one role are joined: results of tools come in one turn."""
    turns: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in messages:
        if message.role == "system":
            continue
        role = "model" if message.role == "assistant" else "user"
        calls = message.tool_calls or []
        names |= {as_text(call.get("id")): _name(call) for call in calls}
        if message.role == "tool":
            parts = [_result(message, names)]
        else:
            parts = [*_parts(message), *(_call(call) for call in calls)]
        if not parts:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"].extend(parts)
        else:
            turns.append({"role": role, "parts": parts})
    return turns


def _parts(message: Message) -> list[dict[str, Any]]:
    if not isinstance(message.content, list):
        return [{"text": message.content}] if message.content else []
    return [_part(part) for part in message.content]


def _part(part: dict[str, Any]) -> dict[str, Any]:
    match part.get("type"):
        case "text":
            return {"text": as_text(part.get("text"))}
        case "image_url":
            url = as_text(as_dict(part.get("image_url")).get("url"))
            if (embedded := foreign.embedded(url)) is None:
                raise Unsayable("An image must be sent along there, not named by its address.")
            kind, data = embedded
            return {"inlineData": {"mimeType": kind, "data": data}}
        case other:
            raise Unsayable(f"A message has a part of type {other!r}, which cannot be sent there.")


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = as_dict(call.get("function"))
    arguments = as_arguments(function.get("arguments"))
    part: dict[str, Any] = {"functionCall": {"name": _name(call), "args": arguments}}
    google = as_dict(as_dict(call.get("extra_content")).get("google"))
    if signature := as_text(google.get("thought_signature")):
        part["thoughtSignature"] = signature  # without it Gemini 3 and later refuse the call
    return part


def _result(message: Message, names: dict[str, str]) -> dict[str, Any]:
    """What a tool gave, matched with its call by name and order."""
    said = "".join(as_text(part.get("text")) for part in _parts(message))
    name = names.get(message.tool_call_id or "", message.name or "")
    response = as_arguments(said) or {"result": said}
    return {"functionResponse": {"name": name, "response": response}}


def _name(call: dict[str, Any]) -> str:
    return as_text(as_dict(call.get("function")).get("name"))


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = as_dict(tool.get("function"))
    form: dict[str, Any] = {"name": as_text(function.get("name"))}
    for name, theirs in (("description", "description"), ("parameters", "parametersJsonSchema")):
        if function.get(name):
            form[theirs] = function[name]
    return form


def _choice(choice: object) -> dict[str, Any]:
    if isinstance(choice, str):
        return {"mode": {"required": "ANY"}.get(choice, choice.upper())}
    return {"mode": "ANY", "allowedFunctionNames": [_name(as_dict(choice))]}


def _format(wish: dict[str, Any]) -> dict[str, Any]:
    match wish.get("type"):
        case "json_schema":
            schema = as_dict(wish.get("json_schema")).get("schema")
            return {"responseMimeType": "application/json", "responseJsonSchema": schema}
        case "json_object":
            return {"responseMimeType": "application/json"}
        case _:
            return {}


# --- Frame in -------------------------------------------------------------------------------

_FINISH = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
}
"""Into the common terms; what is not here keeps its name (`MALFORMED_FUNCTION_CALL`)."""


def from_wire(frame: Frame) -> Piece | None:
    """What an event says, or None if it says nothing. Raises Unreadable."""
    return _piece(an_object(frame.data)) if frame.data.strip() else None


def from_whole(body: bytes) -> Piece:
    """What a reply says that came in one piece though a stream was asked: one response, or a list
    of what would have been events. Raises Unreadable.
    """
    document = a_document(body)
    responses = cast(list[Any], document) if isinstance(document, list) else [document]
    if not responses:
        raise Unreadable("an empty list")
    whole = Piece(tool_calls=[])
    for response in responses:
        piece = _piece(as_dict(response))
        if piece.error is not None:
            return piece
        whole.text += piece.text
        whole.reasoning += piece.reasoning
        whole.tool_calls = [*(whole.tool_calls or []), *(piece.tool_calls or [])]
        whole.finish_reason = piece.finish_reason or whole.finish_reason
        whole.usage = piece.usage or whole.usage
        whole.model = piece.model or whole.model
        whole.ragged = whole.ragged or piece.ragged
    whole.last = True
    return whole


def _piece(response: dict[str, Any]) -> Piece:
    if (told := told_in(response)) is not None:
        return Piece(error=told)
    candidates = as_list(response.get("candidates"))
    blocked = as_text(as_dict(response.get("promptFeedback")).get("blockReason"))
    if blocked and not candidates:
        why = f"The question was blocked: {blocked}."
        return Piece(error=Told(type="content_filter", code=blocked, message=why))
    if not response.keys() & {"candidates", "usageMetadata", "responseId", "modelVersion"}:
        raise Unreadable("neither candidates nor an error")
    piece = Piece(
        model=as_text(response.get("modelVersion")), usage=_usage(response.get("usageMetadata"))
    )
    candidate = next((c for c in candidates if c.get("index", 0) == 0), as_dict(None))
    calls: list[dict[str, Any]] = []
    for place, part in enumerate(as_list(as_dict(candidate.get("content")).get("parts"))):
        if part.get("thought") is True:
            piece.reasoning += as_text(part.get("text"))
        else:
            piece.text += as_text(part.get("text"))
        if isinstance(part.get("functionCall"), dict):
            calls.append(_called(part, response.get("responseId"), place))
    piece.tool_calls = calls or None
    reason = as_text(candidate.get("finishReason"))
    piece.finish_reason = _FINISH.get(reason, reason)
    piece.ragged = is_ragged(piece.text) or is_ragged(piece.reasoning)
    return piece


def _called(part: dict[str, Any], response: object, place: int) -> dict[str, Any]:
    """A call in the common form. Older models give it no id, so it gets one here."""
    said = as_dict(part["functionCall"])
    name, arguments = as_text(said.get("name")), as_dict(said.get("args"))
    id_ = as_text(said.get("id")) or made_up_id(response, place, name, arguments)
    function = {"name": name, "arguments": arguments}
    call: dict[str, Any] = {"id": id_, "type": "function", "function": function}
    if signature := as_text(part.get("thoughtSignature")):
        call["extra_content"] = {"google": {"thought_signature": signature}}
    return call


def _usage(said: object) -> Usage | None:
    """Its count of the answer leaves out the thoughts; ours has all of it."""
    usage = as_dict(said)
    input_ = as_count(usage.get("promptTokenCount"))
    if input_ is None:
        return None
    thoughts = as_count(usage.get("thoughtsTokenCount"))
    return Usage(
        input_tokens=input_ + (as_count(usage.get("toolUsePromptTokenCount")) or 0),
        output_tokens=(as_count(usage.get("candidatesTokenCount")) or 0) + (thoughts or 0),
        reasoning_tokens=thoughts,
        cached_tokens=as_count(usage.get("cachedContentTokenCount")),
        status=UsageStatus.MEASURED,
    )


# --- Models in ------------------------------------------------------------------------------


def catalog(body: bytes) -> list[LiveModel]:
    """The models of its own list. Raises Unreadable."""
    document = an_object(body)
    if not isinstance(document.get("models"), list):
        raise Unreadable("no list of models in it")
    return [
        LiveModel(
            id=as_text(entry["name"]).removeprefix("models/"),
            context_window=as_count(entry.get("inputTokenLimit")),
            thinks=as_flag(entry.get("thinking")),
            chats=_chats(entry.get("supportedGenerationMethods")),
        )
        for entry in as_list(document["models"])
        if as_text(entry.get("name"))
    ]


def _chats(methods: object) -> bool | None:
    """Whether it generates content at all; others embed, or draw by another method."""
    return "generateContent" in methods if isinstance(methods, list) else None
