"""No sliding minute ever holds more requests than the account may make."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.providers import Limits
from services.discussion.accounts import BadLimits, check_declared, parse_limits
from services.discussion.admission import (
    CLEAN,
    LEASE,
    PLACE,
    Account,
    Admitted,
    Ask,
    Denied,
    TooLarge,
    admit,
    answered,
    gcra,
    in_force,
    lapsed,
    learn,
    proven,
    refund,
    refused,
    release,
    renew,
    silence,
    widen,
    with_health,
)
from services.discussion.allowance import Allowance
from services.discussion.breaker import Breaker

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(seconds=60)
DELIVERY = timedelta(seconds=2)


def second(number: float) -> datetime:
    return NOON + timedelta(seconds=number)


@given(
    rpm=st.integers(1, 1000),
    waits=st.lists(st.floats(0, 20), min_size=1, max_size=60),
    late=st.lists(st.floats(0, 2), min_size=1, max_size=7),
)
@settings(max_examples=200)
def test_no_sliding_minute_exceeds_the_limit(
    rpm: int, waits: list[float], late: list[float]
) -> None:
    """Asked greedily after random pauses, and delivered up to two seconds late."""
    account, now, arrivals = Account(), NOON, list[datetime]()
    for number in range(min(3 * rpm, 400)):
        now += timedelta(seconds=waits[number % len(waits)] if number % 17 == 0 else 0)
        verdict = admit(account, Limits(rpm=rpm), Ask(attempt=str(number)), now=now)
        if isinstance(verdict, Denied):
            now = verdict.not_before
            verdict = admit(account, Limits(rpm=rpm), Ask(attempt=str(number)), now=now)
        assert isinstance(verdict, Admitted), "the time that was named must be true"
        account = release(verdict.account, str(number))
        arrivals.append(now + timedelta(seconds=late[number % len(late)]))
    window: deque[datetime] = deque()
    for arrival in sorted(arrivals):
        window.append(arrival)
        while window[0] <= arrival - MINUTE:
            window.popleft()
        assert len(window) <= rpm


def test_as_many_at_once_as_there_are_places() -> None:
    limits, account = Limits(concurrency=2), Account()
    for attempt in ("a", "b"):
        verdict = admit(account, limits, Ask(attempt=attempt), now=NOON)
        assert isinstance(verdict, Admitted)
        account = verdict.account

    third = admit(account, limits, Ask(attempt="c"), now=NOON)

    assert isinstance(third, Denied)
    assert third.reason == "concurrency"
    freed = admit(release(account, "a"), limits, Ask(attempt="c"), now=NOON)
    assert isinstance(freed, Admitted)


def test_a_place_that_nobody_renews_is_free_again() -> None:
    limits = Limits(concurrency=1)
    first = admit(Account(), limits, Ask(attempt="a"), now=NOON)

    later = admit(first.account, limits, Ask(attempt="b"), now=NOON + PLACE)

    assert isinstance(later, Admitted)


def test_a_place_is_held_while_its_attempt_is_being_looked_after() -> None:
    """The lease is due at the very moment at which the first that waits asks again."""
    limits = Limits(concurrency=1)
    first = admit(Account(), limits, Ask(attempt="a"), now=NOON)

    meanwhile = admit(first.account, limits, Ask(attempt="b"), now=NOON + 1.5 * LEASE)

    assert isinstance(meanwhile, Denied)


def test_a_key_that_has_proven_nothing_runs_alone() -> None:
    limits = Limits(concurrency=15)
    first = admit(Account(), limits, Ask(attempt="a", key="k:1"), now=NOON)

    assert isinstance(admit(first.account, limits, Ask(attempt="b", key="k:1"), now=NOON), Denied)
    known = proven(first.account, "k:1")
    assert isinstance(admit(known, limits, Ask(attempt="b", key="k:1"), now=NOON), Admitted)
    assert isinstance(admit(known, limits, Ask(attempt="b", key="k:2"), now=NOON), Denied)


def test_silence_is_kept_and_never_shortened() -> None:
    quiet = silence(Account(), second(60), "throttled")

    denied = admit(silence(quiet, second(7), "throttled"), Limits(), Ask(attempt="a"), now=NOON)

    assert isinstance(denied, Denied)
    assert (denied.reason, denied.not_before) == ("throttled", second(60))
    assert isinstance(admit(quiet, Limits(), Ask(attempt="a"), now=second(60)), Admitted)


def test_limits_that_the_provider_names_only_lower_ours() -> None:
    account = learn(learn(Account(), {"rpm": 3}, now=NOON), {"rpm": 50, "tpm": 7}, now=NOON)

    assert account.learnt == {"rpm": 3, "tpm": 7}
    assert in_force(account, Limits(rpm=2, tpm=500)) == Limits(rpm=2, tpm=7)


def test_places_that_a_refusal_took_come_back_one_by_one() -> None:
    declared = Limits(concurrency=3)
    refused = learn(Account(), {"concurrency": 1}, now=NOON)

    early = widen(refused, declared, now=NOON + CLEAN / 2)
    later = widen(early, declared, now=NOON + CLEAN)
    whole = widen(later, declared, now=NOON + 2 * CLEAN)

    assert early.learnt == {"concurrency": 1}
    assert later.learnt == {"concurrency": 2}
    assert whole.learnt == {}


def test_what_can_never_fit_is_told_at_once() -> None:
    verdict = admit(Account(), Limits(tpm=100), Ask(attempt="a", tokens=500), now=NOON)

    assert isinstance(verdict, TooLarge)
    assert (verdict.kind, verdict.limit) == ("tpm", 100)


def test_the_reason_that_lasts_longest_is_named() -> None:
    busy = silence(Account(), second(7), "throttled")
    spent = admit(busy, Limits(tpd=100), Ask(attempt="a", tokens=100), now=second(7)).account

    denied = admit(
        silence(spent, second(9), "throttled"),
        Limits(tpd=100),
        Ask(attempt="b", tokens=1),
        now=second(8),
    )

    assert isinstance(denied, Denied)
    assert denied.reason == "daily"
    assert denied.not_before == datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(rpm=3), "rate"),
        (Limits(tpm=1000), "tokens"),
        (Limits(tpd=1000), "daily"),
        (Limits(), "retries"),
    ],
)
def test_a_clock_that_is_put_back_stops_nobody_for_long(limits: Limits, reason: str) -> None:
    """The time that is named then is true too: it is not named anew each time it has come."""
    ask = Ask(attempt="a", tokens=900, retry=10)
    account = admit(Account(), limits, ask, now=NOON).account
    earlier = NOON - timedelta(hours=13)

    denied = admit(account, limits, ask, now=earlier)

    assert isinstance(denied, Denied)
    assert denied.reason in {reason, "retries"}
    longest = 2 * timedelta(days=1) if reason == "daily" else timedelta(minutes=6)
    assert earlier < denied.not_before <= earlier + longest
    assert isinstance(admit(denied.account, limits, ask, now=denied.not_before), Admitted)


def test_a_breaker_rests_no_longer_because_the_clock_was_put_back() -> None:
    sick = with_health(Account(), "k:1", Breaker(open_until=second(10), rests=1))
    earlier = NOON - timedelta(hours=1)

    denied = admit(sick, Limits(), Ask(attempt="a", key="k:1"), now=earlier)

    assert isinstance(denied, Denied)
    assert denied.not_before <= earlier + timedelta(seconds=300)


def test_a_day_that_has_begun_is_not_begun_again() -> None:
    """Just after midnight the clock goes back over it: the day's bill stays, and ends with it."""
    midnight, limits = NOON.replace(hour=0), Limits(tpd=1000)
    ask = Ask(attempt="a", tokens=900)
    account = admit(Account(), limits, ask, now=midnight + MINUTE).account

    denied = admit(account, limits, ask, now=midnight - MINUTE)

    assert isinstance(denied, Denied)
    assert denied.not_before == midnight + timedelta(days=1)
    assert isinstance(admit(denied.account, limits, ask, now=midnight), Denied)


def test_a_purse_that_lacks_less_than_a_moment_is_full_enough() -> None:
    account = Account(allowance=Allowance(1 - 1e-9, NOON))

    assert isinstance(admit(account, Limits(), Ask(attempt="a", retry=1), now=NOON), Admitted)


def test_who_is_known_to_run_keeps_its_place_however_late_somebody_looks() -> None:
    limits = Limits(concurrency=1)
    account = admit(Account(), limits, Ask(attempt="a"), now=NOON).account
    late = NOON + 10 * PLACE

    assert lapsed(account, NOON + LEASE) == []
    assert lapsed(account, late) == ["a"]
    held = renew(account, "a", now=late)

    assert isinstance(admit(held, limits, Ask(attempt="b"), now=late), Denied)
    assert isinstance(admit(account, limits, Ask(attempt="b"), now=late), Admitted)


def test_whoever_insists_spends_from_the_accounts_purse() -> None:
    account, limits = Account(), Limits()
    for number in range(10):
        verdict = admit(account, limits, Ask(attempt=f"{number}", retry=1), now=NOON)
        assert isinstance(verdict, Admitted)
        account = verdict.account

    denied = admit(account, limits, Ask(attempt="more", retry=1), now=NOON)
    first = admit(account, limits, Ask(attempt="first"), now=NOON)

    assert isinstance(denied, Denied)
    assert (denied.reason, denied.not_before) == ("retries", second(30))
    assert isinstance(first, Admitted), "a first attempt needs nothing from it"


def test_a_sick_provider_is_left_alone_but_for_one_who_goes_to_see() -> None:
    account, limits = Account(), Limits()
    sick = Breaker(open_until=second(10), rests=1)
    account = with_health(account, "k:1", sick)

    resting = admit(account, limits, Ask(attempt="a", key="k:1"), now=second(9))
    trial = admit(account, limits, Ask(attempt="a", key="k:1", retry=1), now=second(10))
    second_one = admit(trial.account, limits, Ask(attempt="b", key="k:1"), now=second(10))
    look = admit(account, limits, Ask(attempt="l", key="k:1", free=True), now=second(9))

    assert isinstance(resting, Denied)
    assert (resting.reason, resting.not_before) == ("breaker", second(10))
    assert isinstance(trial, Admitted)
    assert trial.trial
    assert trial.account.allowance.retries == 10, "the breaker let it through, not the purse"
    assert isinstance(second_one, Denied)
    assert isinstance(look, Admitted)


def test_what_was_never_sent_is_given_back_whole() -> None:
    limits = Limits(rpm=3)
    once = admit(Account(), limits, Ask(attempt="a"), now=NOON)

    back = release(refund(once.account, "a", limits, now=NOON), "a")

    assert isinstance(admit(back, limits, Ask(attempt="b"), now=NOON), Admitted)


@given(
    rpm=st.integers(1, 200),
    fates=st.lists(st.tuples(st.booleans(), st.floats(0, 15), st.floats(0, 4)), max_size=80),
)
@settings(max_examples=200)
def test_what_is_given_back_late_pays_for_nothing_that_was_sent(
    rpm: int, fates: list[tuple[bool, float, float]]
) -> None:
    """Some requests are sent; others are given back, up to fifteen seconds after their permit."""
    account, now = Account(), NOON
    unsent: list[tuple[datetime, str]] = []
    sent: list[datetime] = []
    for number in range(min(4 * rpm, 400)):
        is_sent, back_after, pause = fates[number % len(fates)] if fates else (True, 0.0, 0.0)
        verdict = admit(account, Limits(rpm=rpm), Ask(attempt=str(number)), now=now)
        if isinstance(verdict, Denied):
            now = verdict.not_before
            verdict = admit(account, Limits(rpm=rpm), Ask(attempt=str(number)), now=now)
        assert isinstance(verdict, Admitted)
        account = verdict.account
        if is_sent:
            sent.append(now)
            account = release(account, str(number))
        else:
            unsent.append((now + timedelta(seconds=back_after), str(number)))
        now += timedelta(seconds=pause)
        for due, attempt in sorted(each for each in unsent if each[0] <= now):
            account = release(refund(account, attempt, Limits(rpm=rpm), now=now), attempt)
            unsent.remove((due, attempt))
    window: deque[datetime] = deque()
    for moment in sent:
        window.append(moment)
        while window[0] <= moment - MINUTE:
            window.popleft()
        assert len(window) <= rpm


def test_a_slot_that_has_passed_is_not_given_back() -> None:
    limits, interval = Limits(rpm=3), gcra(3)[0]
    never_sent = admit(Account(), limits, Ask(attempt="a"), now=NOON)
    later = NOON + interval
    was_sent = admit(never_sent.account, limits, Ask(attempt="b"), now=later)
    assert isinstance(was_sent, Admitted)

    back = release(refund(was_sent.account, "a", limits, now=later), "a")

    assert isinstance(admit(back, limits, Ask(attempt="c"), now=later), Denied)


def test_declared_limits_that_cannot_be_read_are_found_at_start() -> None:
    check_declared({"KIMI_LIMITS": "rpm=5,tpm=1000"})
    with pytest.raises(BadLimits):
        check_declared({"KIMI_LIMITS": "rpm=fast"})


def test_limits_are_read_as_the_operator_writes_them() -> None:
    assert parse_limits("rpm=100, concurrency=20") == Limits(rpm=100, concurrency=20)


@pytest.mark.parametrize("told", ["rpm", "rpm=0", "rpm=-1", "rpm=ten", "rqm=1", "rpm=1e3", "=5"])
def test_limits_that_make_no_sense_are_refused_with_the_reason(told: str) -> None:
    with pytest.raises(BadLimits):
        parse_limits(told)


# --- An account that is refused for its rate ------------------------------------------------


def refused_once(at: float = 0) -> Account:
    admitted = admit(Account(), Limits(rpm=100), Ask(attempt="a"), now=second(at))
    assert isinstance(admitted, Admitted)
    return release(refused(admitted.account, "a", now=second(at + 1)), "a")


def test_a_refused_account_is_asked_by_one_at_a_time() -> None:
    limits = Limits(rpm=100)
    first = admit(refused_once(), limits, Ask(attempt="b", retry=0.35), now=second(10))
    assert isinstance(first, Admitted)
    second_one = admit(first.account, limits, Ask(attempt="c"), now=second(11))
    later = admit(first.account, limits, Ask(attempt="c"), now=second(15))

    assert first.trial, "it goes to see for all"
    assert first.account.allowance.retries == 10
    assert isinstance(second_one, Denied)
    assert (second_one.reason, second_one.not_before) == ("throttled", second(15))
    assert isinstance(later, Admitted)


def test_refusals_of_what_went_out_together_count_as_one() -> None:
    account, limits = Account(), Limits(rpm=100)
    for name in "abc":
        admitted = admit(account, limits, Ask(attempt=name), now=second(0))
        assert isinstance(admitted, Admitted)
        account = admitted.account
    for name in "abc":
        account = refused(account, name, now=second(1))

    assert account.refusals == 1


def test_once_one_was_answered_all_go_as_before() -> None:
    account, limits = answered(refused_once()), Limits(rpm=100)
    for name in "bcd":
        admitted = admit(account, limits, Ask(attempt=name), now=second(10))
        assert isinstance(admitted, Admitted)
        assert not admitted.trial
        account = admitted.account
