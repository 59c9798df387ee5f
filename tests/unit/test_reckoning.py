"""What an end means for the bill."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.discussion_events import AttemptCut, AttemptFailed
from contracts.prices import Price
from contracts.stream import ProviderError, Usage, UsageStatus
from contracts.usage import Ending
from services.discussion.reckoning import Entry, corrected, settled

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PRICE = Price(input=Decimal(1), output=Decimal(10))
HELD = Decimal("0.02")
COUNTS = st.integers(-(2**63), 2**63 - 1)


def entry(status: str = "open", *, price: Price | None = PRICE) -> Entry:
    return Entry(price=price, question=300, held=HELD if price is not None else None, status=status)


def failed(**more: Any) -> AttemptFailed:
    wire = {"discussion": "d", "turn": "t", "attempt": "a", "class": "midstream", **more}
    return msgspec.convert(
        {"type": "discussion.attempt_failed.v1", "at": NOON, **wire}, AttemptFailed
    )


def late(**more: Any) -> ProviderError:
    wire = {"workspace": "w", "discussion": "d", "turn": "t", "attempt": "a", **more}
    told = {"type": "stream.error.v1", "at": NOON, "class": "midstream", **wire}
    return msgspec.convert(told, ProviderError)


def measured(input_: int, output: int) -> dict[str, Any]:
    return {"input_tokens": input_, "output_tokens": output, "status": "measured"}


def test_what_the_provider_counted_is_what_is_charged() -> None:
    bill = settled(entry(), failed(usage=measured(1000, 100), text="half"))

    assert bill.cost is not None
    assert bill.cost.amount == bill.charged == Decimal("0.002")


def test_what_is_not_known_is_charged_as_it_was_held() -> None:
    bill = settled(entry(), failed(**{"class": "ambiguous"}))

    assert (bill.status, bill.cost, bill.charged) == ("unknown", None, HELD)


def test_an_error_instead_of_an_answer_costs_nothing() -> None:
    bill = settled(entry(), failed(**{"class": "throttled"}, evidence={"status": 429}))

    assert (bill.status, bill.charged) == ("estimated", 0)


def test_an_error_after_some_words_costs_what_they_cost() -> None:
    usage = {"input_tokens": 30, "output_tokens": 10, "status": "estimated"}
    bill = settled(entry(), failed(evidence={"status": 500}, text="half", usage=usage))

    assert bill.charged == Decimal("0.00013")


def test_an_estimate_without_a_question_has_ours() -> None:
    usage = Usage(output_tokens=10, status=UsageStatus.ESTIMATED)
    cut = AttemptCut(at=NOON, discussion="d", turn="t", attempt="a", reason="gone", usage=usage)

    assert settled(entry(), cut).usage.input_tokens == 300


def test_what_has_no_price_is_charged_to_nobody() -> None:
    bill = settled(entry(price=None), failed(usage=measured(1000, 100)))

    assert (bill.cost, bill.charged) == (None, 0)


@given(COUNTS, COUNTS, COUNTS)
def test_nothing_is_ever_credited_whatever_was_counted(input_: int, output: int, held: int) -> None:
    usage = Usage(
        input_tokens=input_, output_tokens=output, cached_tokens=held, status=UsageStatus.MEASURED
    )
    told = msgspec.structs.replace(failed(), usage=usage)
    bill = settled(entry(), told)

    assert bill.charged >= 0
    assert bill.usage.input_tokens >= 0
    assert bill.usage.output_tokens >= 0


@pytest.mark.parametrize(
    ("before", "outcome", "after"),
    [
        ("unknown", late(usage=measured(1, 2)), "measured"),
        ("estimated", late(usage=measured(1, 2)), "measured"),
        ("unknown", late(usage={"output_tokens": 2, "status": "estimated"}), "estimated"),
        ("unknown", late(evidence={"status": 429}), "estimated"),
        ("unknown", late(sent=False), "unsent"),
        ("unknown", late(), None),
        ("estimated", late(usage={"output_tokens": 2, "status": "estimated"}), None),
        ("measured", late(usage=measured(1, 2)), None),
        ("unsent", late(usage=measured(1, 2)), None),
        ("open", late(usage=measured(1, 2)), None),
    ],
)
def test_a_late_word_counts_where_it_is_better_than_what_was_known(
    before: str, outcome: ProviderError, after: str | None
) -> None:
    bill = corrected(entry(before), Ending.CANCELLED, outcome)

    assert (bill.status if bill is not None else None) == after
