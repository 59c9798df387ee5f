"""What a provider's answer about a key means, in words a person can act on."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from contracts.attempts import ProbeResult
from contracts.failures import Evidence, FailureClass
from contracts.keys import KeyView
from contracts.providers import Provider
from services.key_vault.aggregate import Accepted, Denied, NoAnswer, Verdict
from shared.redaction import redact

_MAY_PASS = frozenset(
    {
        FailureClass.THROTTLED,
        FailureClass.OVERLOADED,
        FailureClass.TRANSIENT,
        FailureClass.AMBIGUOUS,
        FailureClass.MIDSTREAM,
        FailureClass.UNKNOWN,
    }
)
"""After these the same question may have another answer later."""

_VERIFY = "verify the key again (on the page under Keys, or with `parley keys verify`)"

_ABOUT_ADDRESSES = re.compile(r"\bIP\b.*\bnot (?:allowed|authorized|permitted)\b", re.IGNORECASE)
"""Moonshot: “Your IP is not allowed to access this organization” (errors page)."""


def verdict(row: Provider, key: KeyView, result: ProbeResult, form: str | None) -> Verdict:
    """What `GET /models` says of the key; `form` is the region that the key looks made for."""
    if result.failure is None:
        return Accepted(models=len(result.models), balance=result.balance)
    if result.failure is FailureClass.AUTH and result.sent:
        return denied(row, key, result.evidence, result.hint, form)
    return _unanswered(row, key, result)


def may_pass(result: ProbeResult) -> bool:
    """Whether asking again by itself makes sense."""
    return result.failure in _MAY_PASS or not result.sent


EMPTY = f"Top up the account: without a balance the provider answers nothing. Then {_VERIFY}."
"""What to do where a good key's account cannot pay."""

NOBODY_TO_ASK = NoAnswer(
    "The provider has not been asked yet: the part of Parley that does this does not answer.",
    f"It is tried again by itself; to try now, {_VERIFY}.",
)


def misplaced(row: Provider, key: KeyView, form: str) -> Denied:
    """A key of another product of the same vendor: told by its form, not even sent."""
    host, there = _host(key), _name(row.region(form).base_url)
    return Denied(
        f"The form of this key says that it belongs to “{form}” ({there}) of {row.title}, "
        f"not to {host}; it was not sent there.",
        f"Add it again with the region “{form}”, or add a key that was made for {host}.",
    )


def denied(row: Provider, key: KeyView, evidence: Evidence, hint: str, form: str | None) -> Denied:
    """The provider refused the key itself: why that may be, and what to do."""
    host, said = _host(key), _said(evidence)
    clean = _redacted(evidence)
    if form is not None and form != key.region:
        return Denied(
            f"{host} refused the key{said}: its form says that it belongs to the region “{form}”.",
            f"Add it again with the region “{form}”, or add a key that was made for {host}.",
            clean,
        )
    if _ABOUT_ADDRESSES.search(evidence.message):
        return Denied(
            f"{host} knows the key, but does not let it in from this machine's address{said}.",
            "In the provider's console, allow this machine's public IP address or lift the limit "
            f"on addresses; then {_VERIFY}.",
            clean,
        )
    if evidence.status == 403 or hint == "permission":
        return Denied(
            f"{host} knows the key but does not let it in{said}.",
            "Look in the provider's console at what the key may do and from which addresses, "
            f"then {_VERIFY}.",
            clean,
        )
    if key.proven:
        return Denied(
            f"{host} refuses the key{said}, although it has worked: it was revoked or deleted, "
            "or its account was closed.",
            f"Make a new key in the provider's console ({row.docs}) and rotate this one to it.",
            clean,
        )
    # A vendor with several regions gives the same answer to a wrong key and to a key of another
    # region, and asking the other region would show the key to another company.
    others = [
        region
        for region in row.regions
        if region.name != key.region and region.name not in row.key_prefixes.values()
    ]
    if others:
        where = " or ".join(f"“{region.name}” ({_name(region.base_url)})" for region in others)
        return Denied(
            f"{host} refused the key{said}: it is mistyped or revoked, or it was made for another "
            f"region of {row.title}, whose accounts are separate.",
            f"If it was made for {where}, add it again with that region; otherwise make a new key "
            f"in the provider's console ({row.docs}) and add that.",
            clean,
        )
    return Denied(
        f"{host} refused the key{said}: it is mistyped, revoked, or made for something else.",
        f"Make a new key in the provider's console ({row.docs}) and add that.",
        clean,
    )


def bound_to(refusing: str, taking: str) -> str:
    """The vendor's other host took the key."""
    return (
        f"{_name(refusing)} refused the key, {_name(taking)} took it: it belongs to that address."
    )


def refused_by_both(
    row: Provider, first: str, other: str, said: Denied, there: Denied | NoAnswer
) -> Denied:
    """The vendor's other host was tried too, and did not take the key either."""
    if isinstance(there, NoAnswer):
        return Denied(
            f"{_name(first)} refused the key{_said(said.evidence)}; of {_name(other)} it is not "
            f"known whether it takes it. {there.reason}",
            "Add the key again later, or name the region that it was made for.",
            said.evidence,
        )
    return Denied(
        f"Neither {_name(first)}{_said(said.evidence)} nor {_name(other)}{_said(there.evidence)} "
        "takes the key: it is mistyped, revoked, or made for something else.",
        f"Make a new key in the provider's console ({row.docs}) and add that.",
        said.evidence,
    )


def _unanswered(row: Provider, key: KeyView, result: ProbeResult) -> NoAnswer:
    host, said, clean = _host(key), _said(result.evidence), _redacted(result.evidence)
    later = f"It is asked again by itself; to ask now, {_VERIFY}."
    match result.failure:
        case FailureClass.BILLING:
            balance = f" {result.balance}" if result.balance else ""
            return NoAnswer(
                f"{host} says that the account has no balance or quota left{said}.{balance}",
                f"Top up the account, then {_VERIFY}.",
                clean,
            )
        case FailureClass.REQUEST if result.hint == "address":
            return NoAnswer(
                f"{host} was not asked, and the key was not sent: {clean.message}",
                f"Correct the endpoint's address, or where its name leads; then {_VERIFY}. A "
                "private address is the operator's to allow, see docs/endpoints.md.",
                clean,
            )
        case FailureClass.MODEL | FailureClass.REQUEST:
            return NoAnswer(
                f"There is no list of models at {key.endpoint}/models{said}.",
                f"Is that the address of {row.title}? Whoever runs this Parley can change it; "
                f"then {_VERIFY}.",
                clean,
            )
        case FailureClass.THROTTLED:
            return NoAnswer(f"{host} is limiting requests just now{said}.", later, clean)
        case _ if result.hint == "connect":
            return NoAnswer(
                f"{host} could not be reached.",
                f"Is this machine online, and is the address right? {later}",
                clean,
            )
        case _ if clean.status is None:
            why = f": {clean.message}" if clean.message else "."
            return NoAnswer(f"{host} could not be asked{why}", later, clean)
        case _ if clean.status < 500 and not clean.type and not clean.code:
            return NoAnswer(
                f"What came back from {host} was not its own answer{said}: a proxy, a firewall or "
                "a sign-in page on the way has answered in its place. It says nothing of the key.",
                f"Look at what stands between this machine and {host}. {later}",
                clean,
            )
        case _:
            return NoAnswer(f"{host} did not answer as it should{said}.", later, clean)


def _said(evidence: Evidence) -> str:
    """In brackets: the status and the provider's own name for the error, as far as known."""
    parts = [str(evidence.status) if evidence.status else "", evidence.type or evidence.code]
    said = " ".join(part for part in parts if part)
    return f" ({redact(said)})" if said else ""


def _redacted(evidence: Evidence) -> Evidence:
    return Evidence(
        status=evidence.status,
        type=redact(evidence.type),
        code=redact(evidence.code),
        message=redact(evidence.message),
        retry_after=evidence.retry_after,
        limits=evidence.limits,
        request=evidence.request,
    )


def _host(key: KeyView) -> str:
    return _name(key.endpoint)


def _name(url: str) -> str:
    """Host and port, without what an operator may have put before an @."""
    return urlsplit(url).netloc.rpartition("@")[2]
