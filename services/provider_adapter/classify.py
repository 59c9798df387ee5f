"""Why did the provider not answer? From its own words to our ten classes.

In this order: the error's type or code, the pattern of its message, the HTTP status. One status
alone has several meanings (Moonshot answers 429 to a rate limit, to an overloaded engine and to
an empty account), and one type may be used for everything (OpenAI's `invalid_request_error`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import NamedTuple

from msgspec import structs

from contracts.failures import Evidence, FailureClass
from contracts.providers import Provider
from services.provider_adapter.answer import Told
from shared.redaction import REDACTED, redact

MESSAGE_LIMIT = 600
"""Characters of a provider's message that are kept as evidence."""

GLIMPSE = 200
"""Characters of a page by somebody who is not the provider."""

_READ = 64
"""Times as much is looked at as is kept. A key that is cut in two is not recognised, and one of 512
characters becomes ten: from so far away, the stump of one cannot get into what is kept."""

REQUEST_ID_HEADERS = (
    "msh-request-id",
    "x-request-id",
    "request-id",
    "x-ds-trace-id",
    "x-trace-id",
    "cf-ray",
)
"""Where providers name the request for their own support; the most telling first."""


class Verdict(NamedTuple):
    """The class, what it rests on, and a slug that sharpens it."""

    class_: FailureClass
    evidence: Evidence
    hint: str = ""


class _Meaning(NamedTuple):
    class_: FailureClass
    hint: str = ""


_AUTH = _Meaning(FailureClass.AUTH)
_PERMISSION = _Meaning(FailureClass.AUTH, "permission")
_MODEL = _Meaning(FailureClass.MODEL)
_BILLING = _Meaning(FailureClass.BILLING)
_PLAN = _Meaning(FailureClass.BILLING, "plan")
_REQUEST = _Meaning(FailureClass.REQUEST)
_TOO_LONG = _Meaning(FailureClass.REQUEST, "context_length")
_FILTERED = _Meaning(FailureClass.REQUEST, "content_filter")
_NO_PATH = _Meaning(FailureClass.REQUEST, "path")
_THROTTLED = _Meaning(FailureClass.THROTTLED)
_OVERLOADED = _Meaning(FailureClass.OVERLOADED)
_TRANSIENT = _Meaning(FailureClass.TRANSIENT)
_UNKNOWN = _Meaning(FailureClass.UNKNOWN)

_BY_TYPE: Mapping[str, _Meaning] = {
    # Moonshot's table of errors (platform docs, "Errors"), then what its neighbours use.
    "invalid_authentication_error": _AUTH,
    "incorrect_api_key_error": _AUTH,
    "authentication_error": _AUTH,
    "invalid_api_key": _AUTH,
    "permission_denied_error": _PERMISSION,
    "permission_error": _PERMISSION,
    "access_terminated_error": _PERMISSION,
    "resource_not_found_error": _MODEL,
    "model_not_found": _MODEL,
    "exceeded_current_quota_error": _BILLING,
    "insufficient_quota": _BILLING,
    "billing_error": _BILLING,
    "content_filter": _FILTERED,
    "context_length_exceeded": _TOO_LONG,
    "tool_use_failed": _REQUEST,
    "url.not_found": _NO_PATH,
    "rate_limit_reached_error": _THROTTLED,
    "rate_limit_error": _THROTTLED,
    "rate_limit_exceeded": _THROTTLED,
    "engine_overloaded_error": _OVERLOADED,
    "overloaded_error": _OVERLOADED,
    "capacity_exceeded": _OVERLOADED,
    "service_tier_capacity_exceeded": _OVERLOADED,
    "service_unavailable": _OVERLOADED,
    "service_unavailable_error": _OVERLOADED,
    # Moonshot's own 503 is a fault of its server; an engine without room says engine_overloaded.
    "server_unavailable": _TRANSIENT,
    "server_error": _TRANSIENT,
    "unexpected_output": _TRANSIENT,
    "internal_server_error": _TRANSIENT,
    "internalservererror": _TRANSIENT,
    "internal_error": _TRANSIENT,
    "api_error": _TRANSIENT,
    "timeout_error": _TRANSIENT,
    # Google's own words (google.rpc.Code and ErrorInfo). PERMISSION_DENIED is missing on purpose:
    # it is said of a missing key too, so its message decides.
    "api_key_invalid": _AUTH,
    "unauthenticated": _AUTH,
    "resource_exhausted": _THROTTLED,
    "unavailable": _OVERLOADED,
    "internal": _TRANSIENT,
    "deadline_exceeded": _TRANSIENT,
}

_BY_MESSAGE: tuple[tuple[_Meaning, re.Pattern[str]], ...] = tuple(
    (meaning, re.compile("|".join(patterns), re.IGNORECASE))
    for meaning, *patterns in (
        (
            _AUTH,
            "invalid authentication",
            "(incorrect|invalid) api[ -]key",
            "api key (is |provided is )?(invalid|incorrect)",
            r"your api key: \S+ is invalid",
            "authentication fails",
            r"\bunauthori[sz]ed\b",
            "unauthenticated",
            "api key (not valid|expired)",
            "unregistered callers",
        ),
        (
            _MODEL,
            "not found the model",
            r"\bmodel\b.{0,200}(not found|does not exist)",
            "is not a valid model",
        ),
        (
            _BILLING,
            "insufficient (balance|credit)",
            "requires more credits",
            "have any credits",
            "all available credits",
            "spending limit",
            "credit balance is too low",
            "current (token )?quota",
            "account .{0,120}is suspended",
        ),
        (
            _TOO_LONG,
            "maximum context length",
            "token length too long",
            "exceeded model token limit",
            "context (length|window)",
            r"`inputs` tokens \+",
            "request too large",
            "prompt is too long",
        ),
        (_FILTERED, "considered high risk", "input flagged", "content (policy|filter)"),
        (
            _THROTTLED,
            r"\b(rpm|tpm|tpd)\b",
            "rate limit",
            "max (organization )?concurrency",
            "organization (max )?concurrency",
            "too many requests",
        ),
        (_OVERLOADED, "overloaded", "capacity exceeded", "too busy", "no instances available"),
    )
)

_BY_STATUS: Mapping[int, _Meaning] = {
    400: _REQUEST,
    401: _AUTH,
    402: _BILLING,
    403: _PERMISSION,
    404: _MODEL,
    405: _NO_PATH,
    408: _TRANSIENT,
    413: _TOO_LONG,
    415: _REQUEST,
    422: _REQUEST,
    429: _THROTTLED,
    500: _TRANSIENT,
    502: _TRANSIENT,
    503: _OVERLOADED,
    504: _TRANSIENT,
    529: _OVERLOADED,
}


def verdict(
    told: Told | None,
    *,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    row: Provider,
    now: datetime,
) -> Verdict:
    """`told` is None where the body is not the provider's own: HTML of a proxy, or foreign."""
    meaning = _meaning(told, status, empty=not body.strip(), error_map=row.error_map)
    message = told.message if told is not None else clean(_words(body), GLIMPSE)
    evidence = Evidence(
        status=status,
        type=clean(told.type if told else "", 100),
        code=clean(told.code if told else "", 100),
        message=clean(message),
        retry_after=_wait(told, headers, message, now=now) if status >= 400 or told else None,
        limits=limits_in(message),
        request=request_id(headers),
        account=account(row, headers, message),
    )
    hint = meaning.hint
    daily = "tpd" in evidence.limits or (told is not None and told.daily)
    if meaning.class_ is FailureClass.THROTTLED:
        hint = _which_limit(evidence, daily=daily) or hint
    elif meaning == _AUTH and len(row.regions) > 1:
        # A key of the vendor's other platform is refused in the same words as a wrong one.
        hint = "region"
    if meaning.class_ is FailureClass.THROTTLED:
        # Which of them was reached, only the words tell: headers name them all.
        named = {**limits_by(headers, row), **evidence.limits}
        evidence = structs.replace(evidence, limits=named)
    return Verdict(meaning.class_, evidence, hint)


def _which_limit(evidence: Evidence, *, daily: bool) -> str:
    """Each limit has its own remedy; empty where only the rate of requests can be meant."""
    if daily:
        return "daily"
    if "concurrency" in evidence.limits or _AT_ONCE.search(evidence.message):
        return "concurrency"
    if "tpm" in evidence.limits and "rpm" not in evidence.limits:
        return "tokens"
    return ""


_AT_ONCE = re.compile(r"\bconcurren(?:cy|t)\b", re.IGNORECASE)


def _wait(
    told: Told | None, headers: Mapping[str, str], message: str, *, now: datetime
) -> float | None:
    if told is not None and told.wait is not None:
        message = f"retry in {told.wait}s"
    return retry_after(headers, message, now=now)


_PLAN_IS_USED_UP = re.compile(
    r"usage limit for this|monthly usage limit|"
    r"usage limit .{0,60}(period|billing cycle|window|plan)",
    re.IGNORECASE,
)
"""A subscription's window, of five hours or a month. It is said under the types of rate limits too,
but no backoff outlasts it."""


def _meaning(
    told: Told | None, status: int, *, empty: bool, error_map: Mapping[str, str]
) -> _Meaning:
    if told is None:
        return _of_foreign(status, empty=empty)
    for name in (told.type, told.code):
        if name in error_map:
            return _Meaning(FailureClass(error_map[name]))
    if _PLAN_IS_USED_UP.search(told.message):
        return _PLAN
    if status == 413:
        return _TOO_LONG  # Groq names a rate limit in its code, but waiting cannot help
    for name in (told.type, told.code):
        if (meaning := _BY_TYPE.get(name.lower())) is not None:
            return meaning
    for meaning, pattern in _BY_MESSAGE:
        if pattern.search(told.message):
            return meaning
    if status < 400 and told.code.isdigit():  # an error inside a 200 stream names its own status
        status = int(told.code[:4])
    return _BY_STATUS.get(status, _UNKNOWN)


def _of_foreign(status: int, *, empty: bool) -> _Meaning:
    """Without the provider's own error body nothing is known of the key, the account or the model.

    A bare 401 is still the provider's: gateways in front of it explain themselves in HTML.
    """
    if status == 401 and empty:
        return _AUTH
    if status in {401, 402, 403}:
        return _TRANSIENT
    if status == 404:
        return _NO_PATH
    return _BY_STATUS.get(status, _UNKNOWN)


# --- What else the words hold ---------------------------------------------------------------

_LIMITS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        ("rpm", r"\bRPM\b[^:]{0,30}?:\s*(\d{1,12})\b"),
        ("concurrency", r"concurrency\s*:\s*(\d{1,12})\b"),
        ("tpm", r"\bTPM\b.{0,80}?limit\s*:?\s*(\d{1,12})\b|max TPM:\s*(\d{1,12})\b"),
        ("tpd", r"\bTPD\b.{0,80}?limit\s*:?\s*(\d{1,12})\b|max TPD:\s*(\d{1,12})\b"),
    )
)


def limits_in(message: str) -> dict[str, int]:
    """The limits that a message names: a free source of what the account may really do."""
    found: dict[str, int] = {}
    for name, pattern in _LIMITS:
        if (match := pattern.search(message)) is not None:
            found[name] = int(next(group for group in match.groups() if group))
    return {name: limit for name, limit in found.items() if limit > 0}


_NUMBER = re.compile(r"[0-9]{1,12}")


def limits_by(headers: Mapping[str, str], row: Provider) -> dict[str, int]:
    """The limits that the headers name, where this provider's do."""
    told = {limit: headers.get(name, "").strip() for limit, name in row.limit_headers.items()}
    found = {limit: int(value) for limit, value in told.items() if _NUMBER.fullmatch(value)}
    return {name: limit for name, limit in found.items() if limit > 0}


_WAIT = re.compile(
    r"\b(?:after|in) (?:(?P<h>\d{1,4})h)?(?:(?P<m>\d{1,5})m(?!s))?"
    r"(?:(?P<n>\d{1,9}(?:\.\d{1,9})?)\s*(?P<unit>ms|milliseconds?|s|sec|seconds?|minutes?|hours?)\b)?",
    re.IGNORECASE,
)
_UNITS = {"ms": 0.001, "mi": 60.0, "s": 1.0, "se": 1.0, "h": 3600.0, "ho": 3600.0}


def retry_after(headers: Mapping[str, str], message: str, *, now: datetime) -> float | None:
    """Seconds to wait: from the headers, else from the words; garbage is no answer."""
    if (wait := _seconds(headers.get("retry-after-ms"), scale=0.001)) is not None:
        return wait
    for name in ("retry-after", "x-retry-after", "msh-cooldown-seconds"):
        value = headers.get(name)
        if (wait := _seconds(value)) is not None:
            return wait
        if value is not None and (wait := _until(value, headers.get("date"), now)) is not None:
            return wait
    return _wait_in(message) or _reset_in(message, now)


def _seconds(value: str | None, *, scale: float = 1.0) -> float | None:
    if value is None or len(value) > 20:
        return None
    try:
        wait = float(value) * scale
    except ValueError:
        return None
    return wait if math.isfinite(wait) and wait > 0 else None


def _until(value: str, date: str | None, now: datetime) -> float | None:
    """An HTTP date, measured against the provider's own clock where it shows it."""
    try:
        then = parsedate_to_datetime(value)
        clock = parsedate_to_datetime(date) if date else now
        wait = (then - clock).total_seconds()
    except (ValueError, TypeError, OverflowError):  # TypeError: one of the two has no zone
        return None
    return wait if wait > 0 else None


def _wait_in(message: str) -> float | None:
    for match in _WAIT.finditer(message):
        hours, minutes, number = match["h"], match["m"], match["n"]
        wait = 3600.0 * int(hours or 0) + 60.0 * int(minutes or 0)
        if number:
            unit = match["unit"].lower()
            wait += float(number) * _UNITS[unit[:2] if unit[:3] != "mil" else "ms"]
        if wait > 0:
            return wait
    return None


_RESET = re.compile(
    r"\bresets? (?:at|on):? "
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d{1,6})?(?: ?Z| ?UTC|[+-]\d\d:\d\d)?)",
    re.IGNORECASE,
)


def _reset_in(message: str, now: datetime) -> float | None:
    """A plan's window may say when it ends; without a zone it is taken for UTC."""
    if (match := _RESET.search(message)) is None:
        return None
    stamp = match[1].upper().replace(" UTC", "Z").replace(" Z", "Z")
    try:
        then = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    wait = ((then if then.tzinfo else then.replace(tzinfo=UTC)) - now).total_seconds()
    return wait if wait > 0 else None


def request_id(headers: Mapping[str, str]) -> str:
    """The provider's own id of the request, or nothing."""
    return next((clean(headers[n], 100) for n in REQUEST_ID_HEADERS if n in headers), "")


_ORGANISATION = re.compile(r"\borg[-_][A-Za-z0-9]{16,}")
"""Moonshot, Groq and OpenAI name whose limit is reached."""


def account(row: Provider, headers: Mapping[str, str], message: str = "") -> str:
    """Tells the account that an answer names from others; what it is called there stays here."""
    match = _ORGANISATION.search(message)
    named = headers.get(row.account_header, "").strip() or (match[0] if match else "")
    return sha256(f"parley account {named}".encode()).hexdigest()[:24] if named else ""


_ACCOUNT = re.compile(r"(?<=\baccount )[A-Za-z0-9]{16,}")
"""Moonshot names the user so, where a project's limit is reached."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def clean(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Fit to be stored and shown: no key, no account's id, one line, not endless."""
    text = _ACCOUNT.sub(REDACTED, _UNPRINTABLE.sub(" ", text[: _READ * limit]))
    text = redact(text).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _words(body: bytes) -> str:
    """The words of an HTML or foreign body, without its tags."""
    text = body[: _READ * GLIMPSE].decode("utf-8", "replace")
    text = re.sub(r"<(script|style)\b.*?(</\1>|\Z)", " ", text, flags=re.IGNORECASE | re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]{0,500}>", " ", text)).strip()
