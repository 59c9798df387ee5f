"""What others wrote, believed only as far as its form goes: documents, values, errors, failures.

The same for all dialects: providers quote each other's shapes, above all in their errors.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from msgspec import structs

from contracts.providers import Provider
from services.provider_adapter import classify
from services.provider_adapter.answer import Told, Unreadable


def a_document(data: bytes) -> object:
    """The JSON in it. Raises Unreadable."""
    try:
        return cast(object, json.loads(data))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not JSON: {len(data)} bytes") from error


def an_object(data: bytes) -> dict[str, Any]:
    """The JSON object in it. Raises Unreadable."""
    document = a_document(data)
    if isinstance(document, list):  # Gemini's compatible surface wraps its errors in a list
        document = next(iter(cast(list[Any], document)), None)
    if not isinstance(document, dict):
        raise Unreadable("not a JSON object")
    return cast(dict[str, Any], document)


# --- Errors -----------------------------------------------------------------------------


def failure(
    status: int, headers: Mapping[str, str], body: bytes, row: Provider, *, now: datetime
) -> classify.Verdict:
    """Why it did not answer. `headers` by their names in lower case."""
    try:
        told = told_in(an_object(body), whole=True)
    except Unreadable:
        told = None
    return classify.verdict(told, status=status, headers=headers, body=body, row=row, now=now)


def told_in(document: dict[str, Any], *, whole: bool = False) -> Told | None:
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
        said = as_dict(first) or {"message": first}
        said = {**said, "message": said.get("message") or said.get("msg")}
    else:
        return Told() if whole and document else None
    message = said.get("message")
    if not isinstance(message, str):
        message = "" if message is None else json.dumps(message)
    told = Told(
        type=_label(said.get("type")) or _label(said.get("status")),  # Google says `status`
        code=_label(said.get("code")),
        message=message,
    )
    details = said.get("details")
    return _in_detail(told, cast(list[Any], details)) if isinstance(details, list) else told


def _in_detail(told: Told, details: list[Any]) -> Told:
    """Google's list beside its errors (google.rpc): the reason, the wait, which quota it was."""
    for detail in map(as_dict, details):
        if reason := _label(detail.get("reason")):
            told = structs.replace(told, code=reason)
        delay = as_text(detail.get("retryDelay"))
        if delay.endswith("s") and (wait := as_seconds(delay[:-1])) is not None:
            told = structs.replace(told, wait=wait)
        violations = detail.get("violations")
        for violation in cast(list[Any], violations) if isinstance(violations, list) else []:
            if "PerDay" in as_text(as_dict(violation).get("quotaId")):
                told = structs.replace(told, daily=True)
    return told


def _label(value: object) -> str:
    """A type or code, which may be a number; a sentence is none."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return "" if " " in text else text


# --- What a foreign value is ----------------------------------------------------------------


def as_dict(value: object) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def as_text(value: object) -> str:
    return value if isinstance(value, str) else ""


def as_count(value: object) -> int | None:
    sane = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53
    return cast(int, value) if sane else None


def as_seconds(text: str) -> float | None:
    """A number of seconds above nothing."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def as_price(value: object, scale: int) -> Decimal | None:
    """A price for `scale` times what it is told for; below nothing, it is none (`-1`: varies)."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        price = Decimal(str(value)[:40])
    except InvalidOperation:
        return None
    return (price * scale).normalize() if price.is_finite() and price >= 0 else None


def as_list(value: object) -> list[dict[str, Any]]:
    """The objects in a list; none of anything else."""
    return (
        [entry for entry in map(as_dict, cast(list[Any], value)) if entry]
        if isinstance(value, list)
        else []
    )


def as_flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def as_arguments(text: object) -> dict[str, Any]:
    """The arguments of a tool call, which OpenAI keeps as text, as the object they are."""
    try:
        return as_dict(json.loads(text)) if isinstance(text, str) else as_dict(text)
    except (ValueError, RecursionError):
        return {}


_EMBEDDED = re.compile(r"data:([\w.+/-]+);base64,(.+)", re.DOTALL)


def embedded(url: str) -> tuple[str, str] | None:
    """Type and base64 of what a `data:` address holds; None if it names something elsewhere."""
    match = _EMBEDDED.fullmatch(url)
    return (match[1], match[2]) if match else None


def made_up_id(*facts: object) -> str:
    """An id for a tool call that came without one; the same facts give the same id."""
    return "call_" + hashlib.sha256(repr(facts).encode("utf-8", "replace")).hexdigest()[:20]


def is_ragged(text: str) -> bool:
    r"""Whether it has half of a surrogate pair in it: `\ud83d` alone, which K2 was seen to send."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
