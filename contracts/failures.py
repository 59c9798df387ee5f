"""What can go wrong, in words every service shares.

Two trees, for two different questions.

Why did a provider not answer? A value, since it is stored, sent and shown:

    FailureClass
    ├─ auth         the key was refused; parked until a key becomes active
    ├─ model        the provider does not know the model; parked until the catalog changes
    ├─ billing      no balance or quota; parked until it is restored
    ├─ request      our request is at fault; this turn fails, never sent again
    ├─ throttled    a rate limit: wait, then try again
    ├─ overloaded   the provider has no capacity: wait, then try again
    ├─ transient    5xx, resets, time-outs before the request was answered: wait, then try again
    ├─ ambiguous    sent, no answer seen: perhaps charged, tried again once at most
    ├─ midstream    the stream broke after text had flowed
    └─ unknown      anything else: tried again once, with an alert

Why did a service refuse what it was asked? An exception, since somebody must answer it:

    Refused                 the asked service said no; nothing happened
    ├─ Invalid              the request itself is wrong                    422
    │  └─ MalformedRequest  not even readable                              400
    ├─ Unauthenticated      no token, or one that is not valid             401
    ├─ OverBudget           it costs more than may still be spent          402
    ├─ Forbidden            the token's role does not allow this           403
    ├─ NotFound             there is no such thing                         404
    ├─ Conflict             it does not fit the present state              409
    │  └─ IdempotencyMismatch  the same key came with another body         422
    ├─ Unavailable          cannot answer now, a later try may succeed     503
    └─ Internal             our fault, with an incident id to look up      500
    Unreachable             nobody listens: proven that nothing was delivered
    TimedOut                no answer in time: unknown whether it was done
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from msgspec import Struct

# --- Why a provider did not answer ---------------------------------------------------------


class FailureClass(StrEnum):
    """Each class has its own remedy; see the tree above."""

    AUTH = "auth"
    MODEL = "model"
    BILLING = "billing"
    REQUEST = "request"
    THROTTLED = "throttled"
    OVERLOADED = "overloaded"
    TRANSIENT = "transient"
    AMBIGUOUS = "ambiguous"
    MIDSTREAM = "midstream"
    UNKNOWN = "unknown"


PARKING = frozenset({FailureClass.AUTH, FailureClass.MODEL, FailureClass.BILLING})
"""Waiting cannot mend these: they have no timer, only an event wakes what is parked."""


class Evidence(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the provider really said, redacted: no key, no organisation or key id."""

    status: int | None = None
    """HTTP status, None when no answer came."""
    type: str = ""
    """The provider's own error type, e.g. `rate_limit_reached_error`."""
    code: str = ""
    message: str = ""
    retry_after: float | None = None
    """Seconds that the provider asked for, in a header or in its words; a floor, no schedule."""
    limits: dict[str, int] = {}
    """Limits named in the message: `rpm`, `tpm`, `tpd`, `concurrency`."""
    request: str = ""
    """The provider's own id of the request, for its support."""
    account: str = ""
    """Tells the account that the provider named from others; its id itself goes no further than
    provider_adapter."""


class Balance(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is left in an account, as its provider tells."""

    amount: str
    """With its decimals, e.g. `49.59`; may be below nothing."""
    currency: str = ""
    """Where it is known: no provider names it beside the number."""
    enough: bool
    """Requests are answered with it."""

    def __str__(self) -> str:
        return f"The account's balance is {self.amount} {self.currency}".rstrip() + "."


class Failure(Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    """Why a turn waits, is parked or has failed, and what a person can do about it."""

    class_: FailureClass
    title: str
    detail: str
    next_step: str
    retryable: bool
    """Whether trying this turn again, by hand or by itself, can help."""
    not_before: datetime | None = None
    evidence: Evidence | None = None


# --- Why a service refused -----------------------------------------------------------------


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A refusal on the wire; the edge turns it into problem+json (RFC 9457)."""

    type: str
    """A stable slug, e.g. `unknown-model`."""
    title: str
    status: int
    detail: str = ""
    next_step: str = ""
    errors: list[dict[str, str]] = []
    """Per field: `{"field": "participants.0.persona", "message": "…"}`."""
    nearest: list[str] = []
    """Names that exist and look like the one that does not."""
    successor: str = ""
    """What replaces a retired name."""
    incident: str = ""
    retry_after: float | None = None
    """Seconds."""
    figures: dict[str, str] = {}
    """Amounts that it is about, for programs, e.g. `{"needs": "0.42", "left": "0.10"}`."""


class Refused(Exception):
    """The asked service said no; nothing happened."""

    status: ClassVar[int] = 400
    slug: ClassVar[str] = "refused"
    title: ClassVar[str] = "Refused"

    def __init__(
        self,
        detail: str = "",
        *,
        next_step: str = "",
        slug: str = "",
        title: str = "",
        errors: list[dict[str, str]] | None = None,
        nearest: list[str] | None = None,
        successor: str = "",
        incident: str = "",
        retry_after: float | None = None,
        figures: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.problem = Problem(
            type=slug or self.slug,
            title=title or self.title,
            status=self.status,
            detail=detail,
            next_step=next_step,
            errors=errors or [],
            nearest=nearest or [],
            successor=successor,
            incident=incident,
            retry_after=retry_after,
            figures=figures or {},
        )


class Invalid(Refused):
    status = 422
    slug = "invalid"
    title = "The request is not valid"


class MalformedRequest(Invalid):
    status = 400
    slug = "malformed"
    title = "The request cannot be read"


class Unauthenticated(Refused):
    status = 401
    slug = "unauthenticated"
    title = "A valid access token is needed"


class OverBudget(Refused):
    status = 402
    slug = "over-budget"
    title = "This is more than may still be spent"


class Forbidden(Refused):
    status = 403
    slug = "forbidden"
    title = "This token may not do that"


class NotFound(Refused):
    status = 404
    slug = "not-found"
    title = "There is no such thing"


class Gone(NotFound):
    status = 410
    slug = "gone"
    title = "It is not there any more"


class Conflict(Refused):
    status = 409
    slug = "conflict"
    title = "That does not fit the present state"


class IdempotencyMismatch(Conflict):
    status = 422
    slug = "idempotency-mismatch"
    title = "This Idempotency-Key was used with another body"


class Unavailable(Refused):
    status = 503
    slug = "unavailable"
    title = "Not available just now"


class Internal(Refused):
    status = 500
    slug = "internal"
    title = "Something went wrong on our side"


_BY_STATUS: dict[int, type[Refused]] = {
    cls.status: cls
    for cls in (
        Internal,
        Unavailable,
        Conflict,
        Gone,
        NotFound,
        Forbidden,
        OverBudget,
        Unauthenticated,
        MalformedRequest,
        Invalid,
    )
}


def refusal(problem: Problem) -> Refused:
    """The exception that `problem` stands for, on the side that asked."""
    by_slug = {cls.slug: cls for cls in (*_BY_STATUS.values(), IdempotencyMismatch)}
    cls = by_slug.get(problem.type) or _BY_STATUS.get(problem.status, Refused)
    error = cls(problem.detail)
    error.problem = problem
    return error


class Unreachable(Exception):
    """Nobody listens on the subject: proven that nothing was delivered."""


class TimedOut(Exception):
    """No answer in time: it is not known whether the request was carried out."""
