"""Moonshot's shapes: chunks, refusals, the list of models. The content is invented."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote
from uuid import uuid4

CREATED = 1_790_000_000


def model(name: str, window: int = 262_144, *, thinks: bool = True) -> dict[str, Any]:
    """An entry of the list."""
    return {
        "id": name,
        "object": "model",
        "created": CREATED,
        "owned_by": "moonshot",
        "context_length": window,
        "supports_image_in": True,
        "supports_video_in": False,
        "supports_reasoning": thinks,
    }


MODELS: list[dict[str, Any]] = [
    model(name, window)
    for name, window in (
        ("kimi-k3.1-pro", 1_048_576),
        ("kimi-k3.1-pro-highspeed", 1_048_576),
        ("kimi-k3", 1_048_576),
        ("kimi-k2.7-code", 262_144),
        ("kimi-k2.7-code-highspeed", 262_144),
        ("kimi-k2.6", 262_144),
    )
]
"""As `GET /v1/models` lists them since 2026."""


def balance(available: float) -> dict[str, Any]:
    """As `GET /v1/users/me/balance` tells it."""
    purse = {"available_balance": available, "voucher_balance": 0, "cash_balance": available}
    return {"code": 0, "data": purse, "scode": "0x0", "status": True}


def words(text: str) -> Iterator[str]:
    """A text as a model would say it: word by word, each with the space before it."""
    yield from re.findall(r"\s*\S+|\s+\Z", text)


def default_answer(prompt: str) -> str:
    """What is said when nobody scripted anything: always the same to the same question."""
    question = " ".join(prompt.split())[:80] or "nothing"
    return (
        f"You asked: “{question}”. This is a scripted answer, made without a model. "
        "It has a beginning, a middle with an emoji 🚀 and a few more words so that there is "
        "something to watch, and it ends when it has said so."
    )


class Chunks:
    """Makes the frames of one streamed answer."""

    def __init__(self, model: str) -> None:
        self._common = {
            "id": f"chatcmpl-{uuid4().hex[:24]}",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": model,
        }

    def delta(self, **delta: Any) -> bytes:
        """A frame with a delta."""
        return self._frame({"index": 0, "delta": delta, "finish_reason": None})

    def finish(self, reason: str, usage: dict[str, int]) -> bytes:
        """The frame with the finish reason, and the usage in its choice."""
        return self._frame({"index": 0, "delta": {}, "finish_reason": reason, "usage": usage})

    def usage(self, usage: dict[str, int]) -> bytes:
        """The frame without choices that `include_usage` asks for."""
        return frame({**self._common, "choices": [], "usage": usage})

    def _frame(self, choice: dict[str, Any]) -> bytes:
        return frame({**self._common, "choices": [choice]})


def frame(document: dict[str, Any]) -> bytes:
    """One frame of the stream."""
    return b"data: " + _json(document) + b"\n\n"


def error(type_: str, message: str, echo: Echo | None = None) -> dict[str, Any]:
    """An error's body, or an error inside a stream."""
    if echo is None:
        return {"error": {"message": message, "type": type_}}
    said = {"message": f"{message} {echo.sentence}", "type": type_, "code": echo.key}
    return {"error": said, "detail": echo.sentence}


@dataclass(frozen=True, slots=True)
class Echo:
    """A provider that says the key back, as careless gateways do: in every form it can take."""

    key: str

    @property
    def sentence(self) -> str:
        raw = self.key.encode()
        forms = [
            self.key,
            *(base64.b64encode(b"u:"[:before] + raw).decode() for before in range(3)),
            base64.urlsafe_b64encode(raw).decode(),
            raw.hex(),
            raw.hex().upper(),
            quote(self.key, safe=""),
        ]
        return f"You sent {' and '.join(forms)}"

    @property
    def headers(self) -> Mapping[str, str]:
        """Some of these are read: the request's id, and when to come back."""
        return {
            "Msh-Request-Id": f"{self.key}-1",
            "Retry-After": self.key,
            "WWW-Authenticate": f'Bearer realm="{self.key}"',
            "Set-Cookie": f"session={self.key}",
            "X-Debug": self.sentence,
        }


def usage_of(input_: int, output: int) -> dict[str, int]:
    """Tokens as Moonshot counts them."""
    return {
        "prompt_tokens": input_,
        "completion_tokens": output,
        "total_tokens": input_ + output,
        "cached_tokens": 0,
    }


def completion(
    model: str, *, text: str, thought: str, calls: list[Any], reason: str, usage: dict[str, int]
) -> dict[str, Any]:
    """The answer to a request without `stream`."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if thought:
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = calls
    return {
        "id": f"chatcmpl-{uuid4().hex[:24]}",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": usage,
    }


def page(status: int, more: str = "") -> bytes:
    """What a gateway says in front of a provider."""
    return (
        f"<html><head><title>{status}</title></head><body><center><h1>{status}</h1></center>"
        f"<hr><center>nginx</center>{more}</body></html>"
    ).encode()


def prompt_of(body: dict[str, Any]) -> str:
    """The last thing that a user said."""
    messages: Any = body.get("messages")
    for message in reversed(cast(list[Any], messages) if isinstance(messages, list) else []):
        if isinstance(message, dict):
            said = cast(dict[str, Any], message)
            if said.get("role") == "user":
                content = said.get("content")
                return content if isinstance(content, str) else json.dumps(content)
    return ""


def prefix_of(body: dict[str, Any]) -> str:
    """The beginning of the answer that is to be gone on with (Moonshot's Partial Mode)."""
    messages: Any = body.get("messages")
    last: Any = cast(list[Any], messages)[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, dict):
        return ""
    said = cast(dict[str, Any], last)
    content = said.get("content")
    partial = said.get("role") == "assistant" and said.get("partial") is True
    return content if partial and isinstance(content, str) else ""


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
