"""Every refusal as application/problem+json (RFC 9457): what is wrong, and what to do about it.

What a caller sent never makes a 5xx, and no answer carries the text of an exception: what we did
not expect gets an incident id, under which the log has the rest.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
import pydantic
import structlog
from aiohttp import web
from msgspec.structs import asdict, replace

from contracts.failures import (
    Internal,
    Invalid,
    MalformedRequest,
    Problem,
    Refused,
    TimedOut,
    Unavailable,
    Unreachable,
)
from shared.redaction import redact

URN = "urn:parley:problem:"
"""Prefix of a problem's `type`; the slug after it never changes its meaning."""

_log = structlog.stdlib.get_logger("edge")


# --- Refusals that only HTTP knows ------------------------------------------------------------


class HttpRefused(Refused):
    """A refusal with headers of its own."""

    closes: ClassVar[bool] = False
    """The connection is of no further use."""

    def __init__(
        self, detail: str = "", *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail, **more)
        self.headers = dict(headers or {})


class MethodNotAllowed(HttpRefused):
    status = 405
    slug = "method-not-allowed"
    title = "This address takes other methods"


class NotAcceptable(HttpRefused):
    status = 406
    slug = "not-acceptable"
    title = "This cannot be had in that form"


class TooSlow(HttpRefused):
    status = 408
    slug = "request-timeout"
    title = "The request did not arrive in time"
    closes = True


class TooLarge(HttpRefused):
    status = 413
    slug = "too-large"
    title = "The request is too large"
    closes = True


class UnsupportedType(HttpRefused):
    status = 415
    slug = "unsupported-media-type"
    title = "The body is of a type that is not read here"
    closes = True


class Misdirected(HttpRefused):
    status = 421
    slug = "misdirected"
    title = "This name is not served here"
    closes = True


class HeadersTooLarge(HttpRefused):
    status = 431
    slug = "headers-too-large"
    title = "The head of the request is too large"
    closes = True


class NoAnswerInTime(HttpRefused):
    status = 504
    slug = "no-answer-in-time"
    title = "No answer in time"


# --- From whatever was raised -----------------------------------------------------------------


def refused_by(error: Exception) -> Refused:
    """What to tell the caller about `error`."""
    match error:
        case Refused():
            return error
        case pydantic.ValidationError():
            return of_validation(error)
        case Unreachable():
            return Unavailable(
                "A part of Parley does not answer just now.",
                next_step="Try again in a few seconds; GET /readyz says which part it is.",
                retry_after=2,
            )
        case TimedOut():
            return NoAnswerInTime(
                "A part of Parley did not answer in time; the request may have been carried out.",
                next_step="Look before you repeat it, or repeat it with the same Idempotency-Key.",
            )
        case _:
            incident = secrets.token_hex(8)
            _log.error("incident", incident=incident, exc_info=error)
            return Internal(
                "Something unexpected happened here.",
                incident=incident,
                next_step="Try again; if it stays so, tell whoever runs this Parley: its log "
                f"has the rest under the incident {incident}.",
            )


def of_validation(error: pydantic.ValidationError) -> Refused:
    """Per field what is wrong; never the value, which may be a secret."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if any(one["type"] == "json_invalid" for one in found):
        return MalformedRequest(
            f"The body is not JSON: {found[0]['msg'].removeprefix('Invalid JSON: ')}.",
            next_step="Send one JSON document in UTF-8.",
        )
    errors = [
        {
            "field": ".".join(str(step) for step in one["loc"]) or "body",
            "message": _said(one["msg"]),
        }
        for one in found[:20]
    ]
    first = errors[0]
    return Invalid(
        f"{first['field']}: {first['message']}",
        errors=errors,
        next_step="Correct the named fields; /docs describes the request.",
    )


def _said(message: str) -> str:
    return message.removeprefix("Value error, ")


# --- Into an answer ---------------------------------------------------------------------------


def harmless(problem: Problem) -> Problem:
    """Fit to be shown: a key that was sent where no key belongs is not repeated."""
    return replace(
        problem,
        detail=redact(problem.detail),
        next_step=redact(problem.next_step),
        errors=[{name: redact(said) for name, said in error.items()} for error in problem.errors],
    )


USUAL_STEPS: Mapping[int, str] = {
    401: "On the page, open the link with the token that Parley printed when it started; elsewhere "
    "send Authorization: Bearer <token>. The first owner's is in $PARLEY_HOME/owner-token.",
    403: "Ask an owner or admin of the workspace.",
    404: "The same address without the id lists those there are.",
    405: "Use one of these; /docs describes them.",
    408: "Send the whole request without a pause.",
    413: "Send less at once.",
    431: "Send large values in the body.",
    500: "Try again; if it stays so, tell whoever runs this Parley.",
    503: "Try again in a few seconds; GET /readyz says what is missing.",
}
"""What helps against a refusal that says nothing better."""


def document(problem: Problem) -> dict[str, Any]:
    """The problem as it goes out: `type` is a URI, what is empty is left out."""
    empty: tuple[Any, ...] = ("", [], {}, None)
    told = {name: value for name, value in asdict(harmless(problem)).items() if value not in empty}
    if (usual := USUAL_STEPS.get(problem.status)) is not None:
        told.setdefault("next_step", usual)
    return told | {"type": URN + problem.type, "status": problem.status}


def headers_of(refused: Refused) -> dict[str, str]:
    """Headers that go with the refusal."""
    headers: dict[str, str] = {}
    if isinstance(refused, HttpRefused):
        headers |= refused.headers
    if refused.problem.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(refused.problem.retry_after)))
    if refused.problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="parley"'
    return headers


def answer(refused: Refused) -> web.Response:
    """The refusal as an HTTP response."""
    response = web.Response(
        status=refused.problem.status,
        body=msgspec.json.encode(document(refused.problem)),
        content_type="application/problem+json",
        headers=headers_of(refused),
    )
    if isinstance(refused, HttpRefused) and refused.closes:
        response.force_close()
    return response
