"""What is said about a failure: a title, what happened, and what to do next, in plain words.

Every class has its own words, since each has its own remedy. The provider's sentence is quoted
where it helps; it was redacted where it came in.
"""

from __future__ import annotations

from datetime import datetime

from contracts.failures import PARKING, Evidence, Failure, FailureClass
from contracts.providers import PROVIDERS

ASK_AGAIN = "Ask again in a while, or choose another model."
_VERIFY = (
    "verify the key again, on the page under Keys or with `parley keys verify`. "
    "What waits goes on by itself then."
)


def explain(
    class_: FailureClass,
    model: str,
    *,
    evidence: Evidence = Evidence(),
    hint: str = "",
    not_before: datetime | None = None,
    final: bool = False,
) -> Failure:
    """The failure as people see it. `final`: the turn was given up; otherwise it goes on."""
    provider, _, name = model.partition("/")
    row = PROVIDERS.get(provider)
    title, detail, next_step = _words(class_, hint, row.title if row else provider, name, provider)
    said = f" {_quoted(evidence)}" if evidence.message else ""
    if hint == "address":
        said = f" {evidence.message}"  # our own words: nobody was asked
    return Failure(
        class_=class_,
        title=title,
        detail=detail + said,
        next_step=_after(class_, next_step, final=final, not_before=not_before),
        retryable=class_ is not FailureClass.REQUEST,
        not_before=not_before,
        evidence=evidence,
    )


def _quoted(evidence: Evidence) -> str:
    """The provider's own words; without an answer of its, what we saw ourselves."""
    if evidence.status is None:
        return f"({evidence.message})"
    return f'It said: "{evidence.message}"'


def _after(
    class_: FailureClass, next_step: str, *, final: bool, not_before: datetime | None
) -> str:
    if class_ in PARKING and not_before is not None:
        return f"One request looks again at the time named. {next_step}"
    if class_ in PARKING or class_ is FailureClass.REQUEST:
        return next_step
    if final:
        return f"It was tried as often as is sensible. {next_step or ASK_AGAIN}"
    return f"Nothing to do: it is tried again by itself. {next_step}".strip()


def _words(  # noqa: C901, PLR0912 - one case for each failure there is
    class_: FailureClass, hint: str, who: str, name: str, provider: str
) -> tuple[str, str, str]:
    match class_, hint:
        case FailureClass.AUTH, "permission":
            return (
                f"{who} does not allow this",
                "The key is known, but what was asked is not open to it.",
                (
                    "Check the key's permissions and allowed addresses in the provider's console, "
                    f"then {_VERIFY}"
                ),
            )
        case FailureClass.AUTH, _:
            return (
                f"{who} refused the key",
                (
                    "The key is not accepted on the address it is bound to: it was revoked, or "
                    "it belongs to another region or product of the same vendor."
                ),
                (
                    f"Add a valid key, on the page under Keys or with: parley keys add {provider}. "
                    "What waits goes on by itself then."
                ),
            )
        case FailureClass.MODEL, _:
            return (
                f"{who} does not know the model",
                f"{name} is not among the models of this key.",
                (
                    "Ask again with another model: the page offers those there are, and "
                    "GET /api/v1/models lists them."
                ),
            )
        case FailureClass.BILLING, "plan":
            return (
                f"The plan at {who} is used up for now",
                "Its usage limit for this period is reached; it answers again in the next one.",
                (
                    "Wait for the next period, or add a key of another account. Once the plan "
                    f"allows more, {_VERIFY}"
                ),
            )
        case FailureClass.BILLING, _:
            return (
                f"The account at {who} has no balance or quota left",
                "The provider answers again once the account is topped up.",
                (
                    "Top up the account in the provider's console. What waits goes on by itself "
                    "within a quarter of an hour, and at once if you verify the key, on the page "
                    "under Keys or with `parley keys verify`."
                ),
            )
        case FailureClass.REQUEST, "context_length":
            return (
                "The text is too long for this model",
                "The question and all that goes with it are more than the model can read at once.",
                "Shorten the text, or choose a model that reads more (a larger context window).",
            )
        case FailureClass.REQUEST, "content_filter":
            return (
                f"{who} declined to answer",
                "Its content filter stopped the request.",
                "Word the question differently, or ask another model.",
            )
        case FailureClass.REQUEST, "address":
            return (
                f"{who} is not gone to",
                "Nothing was sent.",
                (
                    f"Correct the address, parley endpoints change {provider}, or where its name "
                    "leads. A private one is the operator's to allow, see docs/endpoints.md."
                ),
            )
        case FailureClass.REQUEST, "parameter":
            return (
                f"{who} cannot be asked for this",
                "Nothing was sent, since one of the options cannot be had there.",
                "Leave that option out, or ask another model.",
            )
        case FailureClass.REQUEST, "cannot_fit":
            return (
                f"The request is larger than the account at {who} may ever send",
                "Nothing was sent, since waiting would not help.",
                (
                    "Shorten the text, ask for a shorter answer (max_completion_tokens), or "
                    f"declare the account's true limits: parley providers limits {provider}."
                ),
            )
        case FailureClass.REQUEST, "path":
            return (
                f"The address of {who} is not right",
                "Something answers there, but it has no place where a model can be asked.",
                (
                    "Whoever runs this Parley can correct the address: GET /api/v1/providers shows "
                    "the one in use. Until then, ask another model."
                ),
            )
        case FailureClass.REQUEST, "too_large":
            return (
                "The answer became too large",
                "More came than is kept of one answer.",
                "Ask for less at once, or set a smaller max_completion_tokens.",
            )
        case FailureClass.REQUEST, _:
            return (
                f"{who} cannot accept the request",
                "The request itself is at fault; sending it again would not help.",
                "Change the question or its options.",
            )
        case FailureClass.THROTTLED, "daily":
            return (
                f"The daily limit at {who} is used up",
                "The account may go on when the provider's day turns.",
                "",
            )
        case FailureClass.THROTTLED, "concurrency":
            return (
                f"{who} takes fewer requests at a time",
                "The account has as many requests running as it may; fewer are sent from now on.",
                "",
            )
        case FailureClass.THROTTLED, "tokens":
            return (
                f"{who} asks us to slow down",
                "The account's limit of tokens a minute is reached.",
                "",
            )
        case FailureClass.THROTTLED, _:
            return (f"{who} asks us to slow down", "The account's rate limit is reached.", "")
        case FailureClass.OVERLOADED, "breaker":
            return (
                f"{who} is failing just now",
                (
                    "Several requests in a row went wrong, so it is left in peace for a while; "
                    "then one request goes to see whether it is back."
                ),
                "",
            )
        case FailureClass.OVERLOADED, _:
            return (f"{who} is overloaded", "It has no capacity just now.", "")
        case FailureClass.AMBIGUOUS, _:
            return (
                f"{who} did not answer in time",
                "The request was sent, no answer was seen; it may have been charged.",
                "",
            )
        case FailureClass.MIDSTREAM, _:
            return (
                "The answer broke off",
                "The stream ended before the answer was whole; what had come is kept.",
                "Ask again to have it whole.",
            )
        case FailureClass.TRANSIENT, "connect":
            return (
                f"{who} could not be reached",
                "No connection came about, so nothing was sent.",
                "If it stays so, check this machine's network and the address in use.",
            )
        case FailureClass.TRANSIENT, "lease" | "expired" | "busy" | "unreachable":
            return (
                "A part of Parley does not answer just now",
                f"{who} has not been asked, and nothing was charged.",
                "If it stays so, `parley doctor` says which part it is.",
            )
        case FailureClass.UNKNOWN, "internal":
            return (
                "Something went wrong in Parley itself",
                f"{who} is not at fault.",
                "If it happens again, tell whoever runs this Parley: its log says what it was.",
            )
        case FailureClass.TRANSIENT, _:
            return (f"{who} had a passing fault", "It answered with an error of its own.", "")
        case _:
            return (
                f"{who} answered something unexpected",
                "The answer fits nothing that is known of this provider.",
                "If it stays so, check the provider's status page and the address in use.",
            )
