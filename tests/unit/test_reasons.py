"""Why something waits: each reason has its own action and its own words.

From the recorded bodies of refusals, through the class, to what is done and what people read.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.discussion_events import AttemptFailed, TurnWaiting
from contracts.failures import PARKING, Evidence, Failure, FailureClass
from contracts.providers import Limits
from services.discussion import admission, aftermath
from services.discussion.admission import Account, Ask, Denied
from services.discussion.remedies import GiveUp, Park, Remedy, Trouble, Wait, remedy
from services.discussion.words import explain
from services.provider_adapter.classify import Verdict
from tests.recorded import BY_FILE, REFUSALS, Recorded

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
KIMI = "kimi/kimi-k2.6"
A_MOMENT = timedelta(minutes=1)


def half() -> float:
    return 0.5


def judged(recorded: Recorded) -> Verdict:
    return recorded.speech.failure(
        recorded.status, recorded.lower_headers, recorded.body, recorded.row, now=NOON
    )


def said(
    message: str, type_: str = "rate_limit_error", status: int = 429, **headers: str
) -> Verdict:
    recorded = BY_FILE["moonshot/err-429-rate-rpm.json"]
    body = json.dumps({"error": {"message": message, "type": type_}}).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return recorded.speech.failure(status, names, body, recorded.row, now=NOON)


def done(verdict: Verdict, model: str = KIMI) -> Remedy:
    trouble = Trouble(
        class_=verdict.class_,
        model=model,
        evidence=verdict.evidence,
        hint=verdict.hint,
        now=NOON,
    )
    return remedy(trouble, dice=half)


def account_after(verdict: Verdict) -> Account:
    """What one refusal leaves behind, where three were running."""
    account = Account()
    for attempt in "abc":
        account = admission.admit(account, Limits(), Ask(attempt=attempt), now=NOON).account
    failed = AttemptFailed(
        at=NOON,
        discussion="d",
        turn="t",
        attempt="a",
        class_=verdict.class_,
        evidence=verdict.evidence,
        hint=verdict.hint,
    )
    what = done(verdict)
    follows = (
        [TurnWaiting(at=NOON, discussion="d", turn="t", reason="x", not_before=NOON + what.wait)]
        if isinstance(what, Wait)
        else []
    )
    return aftermath.after(
        account, failed, [failed, *follows], key="", limits=Limits(), now=NOON, dice=half
    )


def read(verdict: Verdict) -> Failure:
    return explain(verdict.class_, KIMI, evidence=verdict.evidence, hint=verdict.hint)


class Reason(NamedTuple):
    name: str
    verdict: Verdict
    title: str


RATE = judged(BY_FILE["moonshot/err-429-rate-rpm.json"])
TOKENS = judged(BY_FILE["moonshot/err-429-rate-tpm.json"])
CONCURRENCY = judged(BY_FILE["moonshot/err-429-rate-concurrency.json"])
DAILY = judged(BY_FILE["moonshot/err-429-rate-tpd.json"])
OVERLOAD = judged(BY_FILE["moonshot/err-429-engine-overloaded.json"])
NO_BALANCE = judged(BY_FILE["moonshot/err-429-quota-insufficient-balance.json"])
PLAN = said("You have reached your usage limit for this period, it resets in 3 hours")

REASONS = [
    Reason("rate", RATE, "asks us to slow down"),
    Reason("tokens", TOKENS, "asks us to slow down"),
    Reason("concurrency", CONCURRENCY, "takes fewer requests at a time"),
    Reason("daily", DAILY, "daily limit"),
    Reason("overload", OVERLOAD, "is overloaded"),
    Reason("no balance", NO_BALANCE, "no balance or quota"),
    Reason("plan window", PLAN, "plan"),
]


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.name)
def test_each_reason_has_its_own_words(reason: Reason) -> None:
    failure = read(reason.verdict)

    assert reason.title in failure.title
    assert failure.detail
    assert failure.next_step
    others = [read(other.verdict) for other in REASONS if other.name != reason.name]
    assert (failure.title, failure.detail) not in [(each.title, each.detail) for each in others]


def test_a_rate_limit_lowers_ours_and_silences_the_account_for_a_moment() -> None:
    account = account_after(RATE)

    assert account.learnt == {"rpm": 3}
    assert account.not_before is not None
    assert NOON < account.not_before <= NOON + A_MOMENT


def test_a_limit_of_tokens_lowers_that_of_tokens() -> None:
    assert account_after(TOKENS).learnt == {"tpm": 500_000}
    project = judged(BY_FILE["moonshot/err-429-rate-project-tpm.json"])
    assert account_after(project).learnt == {"tpm": 100}


def test_the_organisations_concurrency_takes_places_away() -> None:
    assert account_after(CONCURRENCY).learnt == {"concurrency": 1}
    unnamed = said("Too many concurrent requests")
    assert unnamed.hint == "concurrency"
    assert account_after(unnamed).learnt == {"concurrency": 2}, "one fewer than there were"


def test_an_overload_opens_the_breaker_and_lowers_no_limit() -> None:
    account = account_after(OVERLOAD)

    assert account.learnt == {}
    assert account.not_before is None
    assert account.breakers[""].in_a_row == 1


def test_a_daily_limit_waits_until_the_day_turns_and_so_does_everybody_else() -> None:
    verdict = said(DAILY.evidence.message)
    assert verdict.hint == DAILY.hint == "daily"
    what, account = done(verdict), account_after(verdict)

    midnight = datetime(2026, 11, 23, tzinfo=UTC)
    assert isinstance(what, Wait)
    assert midnight <= NOON + what.wait <= midnight + A_MOMENT
    denied = admission.admit(account, Limits(), Ask(attempt="z"), now=NOON)
    assert isinstance(denied, Denied)
    assert denied.reason == "daily"
    assert denied.not_before == NOON + what.wait
    named = BY_FILE["moonshot/err-429-rate-tpd.json"].expect["retry_after_s"]
    assert done(DAILY) == Wait(timedelta(seconds=named))


def test_a_daily_limit_waits_as_long_as_the_provider_says_but_not_by_rote() -> None:
    message = "request reached organization TPD rate limit, current: 9, limit: 8"
    long = done(said(message, retry_after="7200"))
    short = done(said(f"{message}, please try again after 1 seconds"))

    assert long == Wait(timedelta(hours=2))
    assert isinstance(short, Wait)
    assert short.wait > timedelta(hours=11), "a hint is a floor, never the schedule"


def test_a_day_that_rolls_is_waited_for_as_it_says() -> None:
    message = "Rate limit reached on tokens per day (TPD): Limit 100000, Used 99800. "
    verdict = said(f"{message} Please try again in 50s.")

    assert done(verdict, "groq/openai/gpt-oss-20b") == Wait(timedelta(seconds=50))


@pytest.mark.parametrize("verdict", [NO_BALANCE, PLAN], ids=["no balance", "plan window"])
def test_a_quota_parks_and_is_no_matter_of_trying_again(verdict: Verdict) -> None:
    assert verdict.class_ is FailureClass.BILLING
    assert isinstance(done(verdict), Park)
    assert account_after(verdict).breakers == {}


@pytest.mark.parametrize(
    ("message", "status", "opens_in"),
    [
        ("You've reached your usage limit for this period. Try again in 3 hours", 429, 180),
        ("usage limit for this billing cycle reached, resets at 2026-11-22T17:00:00Z", 403, 300),
        ("monthly usage limit reached, resets at 2026-12-01 00:00 UTC", 429, 12_240),
        ("usage limit for this 5-hour window is reached, try again after 1 seconds", 429, 15),
        ("usage limit for this period reached", 403, None),
        ("usage limit for this period reached, resets at 2026-99-99T17:00:00Z", 403, None),
        ("monthly usage limit reached, resets at 2020-01-01T00:00:00Z", 403, None),
    ],
)
def test_a_plans_window_opens_when_it_says(message: str, status: int, opens_in: int | None) -> None:
    """In minutes; never sooner than in fifteen, whatever is said by rote."""
    verdict = said(message, status=status)

    assert (verdict.class_, verdict.hint) == (FailureClass.BILLING, "plan")
    wait = None if opens_in is None else timedelta(minutes=opens_in)
    assert done(verdict) == Park("billing:kimi", wait)


def test_who_waits_for_a_plans_window_is_told_that_it_opens_by_itself() -> None:
    at = NOON + timedelta(hours=3)
    failure = explain(FailureClass.BILLING, KIMI, hint="plan", not_before=at)

    assert failure.not_before == at
    assert failure.next_step.startswith("One request looks again at the time named.")


@pytest.mark.parametrize("class_", [FailureClass.THROTTLED, FailureClass.OVERLOADED])
@pytest.mark.parametrize("seconds", [121, 3600, 86_400, 30 * 86_400])
def test_a_long_wait_is_obeyed_to_the_second(class_: FailureClass, seconds: int) -> None:
    trouble = Trouble(class_=class_, model=KIMI, evidence=Evidence(retry_after=seconds), now=NOON)

    assert remedy(trouble, dice=half) == Wait(timedelta(seconds=seconds))


@given(
    asked=st.one_of(
        st.sampled_from([0.0, -1.0, float("nan"), float("inf"), 1e12, -1e300, 5e-324]),
        st.floats(max_value=0),
        st.floats(min_value=32 * 86_400),
    ),
    class_=st.sampled_from([FailureClass.THROTTLED, FailureClass.OVERLOADED]),
    dice=st.floats(0, 1, exclude_max=True),
)
def test_a_garbage_wait_is_no_wait(asked: float, class_: FailureClass, dice: float) -> None:
    def as_thrown() -> float:
        return dice

    plain = Trouble(class_=class_, model=KIMI, now=NOON)
    garbage = Trouble(class_=class_, model=KIMI, evidence=Evidence(retry_after=asked), now=NOON)

    assert remedy(garbage, dice=as_thrown) == remedy(plain, dice=as_thrown)


@pytest.mark.parametrize("recorded", REFUSALS, ids=str)
def test_every_recorded_refusal_has_a_remedy_and_words(recorded: Recorded) -> None:
    verdict = judged(recorded)
    what, failure = done(verdict, f"{recorded.row.name}/a-model"), read(verdict)

    match verdict.class_:
        case FailureClass.REQUEST:
            assert what == GiveUp()
        case class_ if class_ in PARKING:
            assert isinstance(what, Park)
        case _:
            assert isinstance(what, Wait)
            assert timedelta(0) < what.wait <= timedelta(days=31)
    assert failure.title
    assert failure.detail
    assert failure.next_step
    assert failure.retryable == (verdict.class_ is not FailureClass.REQUEST)
