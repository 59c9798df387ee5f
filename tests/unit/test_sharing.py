"""Keys of one account: what each has done counts for both, and the stricter of two rules holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from contracts.providers import Limits
from services.discussion import admission
from services.discussion.admission import Account, Admitted, Ask, Denied
from services.discussion.allowance import Allowance
from services.discussion.sharing import together
from services.discussion.spending import Bucket, Spending

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WIDE = Limits(concurrency=3, rpm=60)


def busy(*attempts: str, key: str = "k1:1", tokens: int = 0) -> Account:
    account = Account(proven=(key,))
    for attempt in attempts:
        verdict = admission.admit(
            account, WIDE, Ask(attempt=attempt, key=key, tokens=tokens), now=NOW
        )
        assert isinstance(verdict, Admitted)
        account = verdict.account
    return account


def test_what_runs_with_either_key_fills_the_places_of_both() -> None:
    both = together(busy("a1", "a2"), busy("a3", key="k2:1"))
    verdict = admission.admit(both, WIDE, Ask(attempt="a4", key="k2:1"), now=NOW)
    assert isinstance(verdict, Denied)
    assert verdict.reason == "concurrency"


def test_the_stricter_of_two_rules_holds() -> None:
    one = Account(
        learnt={"rpm": 3, "tpm": 9},
        refusals=2,
        refused_at=NOW,
        not_before=NOW,
        reason="throttled",
    )
    other = Account(learnt={"rpm": 60, "concurrency": 1}, not_before=NOW + timedelta(seconds=9))
    both = together(one, other)
    assert both.learnt == {"rpm": 3, "tpm": 9, "concurrency": 1}
    assert (both.refusals, both.refused_at) == (2, NOW)
    assert both.not_before == NOW + timedelta(seconds=9)
    assert together(other, one) == msgspec.structs.replace(both, reason="")


def test_what_both_have_spent_is_added_up_day_by_day() -> None:
    one = Spending((Bucket(NOW, 5),), NOW, 100)
    other = Spending((Bucket(NOW, 7), Bucket(NOW + timedelta(seconds=2), 1)), NOW, 50)
    old = Spending((), NOW - timedelta(days=1), 9_000)
    both = together(Account(spending=one), Account(spending=other)).spending
    assert both == Spending((Bucket(NOW, 12), Bucket(NOW + timedelta(seconds=2), 1)), NOW, 150)
    assert together(Account(spending=one), Account(spending=old)).spending.of_day == 100


def test_the_poorer_purse_is_kept() -> None:
    one, other = Account(allowance=Allowance(2.0, NOW)), Account(allowance=Allowance(9.0, None))
    assert together(one, other).allowance == Allowance(2.0, NOW)


def test_nothing_of_an_account_is_forgotten() -> None:
    """Whoever adds a field to the record says here what becomes of it."""
    assert {field.name for field in msgspec.structs.fields(Account)} == {
        "next_slot",
        "not_before",
        "reason",
        "leases",
        "proven",
        "learnt",
        "refusals",
        "refused_at",
        "places_since",
        "spending",
        "allowance",
        "breakers",
    }
    full = busy("a1", "a2", tokens=9)
    assert together(full, Account()) == full
    assert together(Account(), full) == full
