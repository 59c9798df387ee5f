"""Whoever meets an error, on whatever way, is told in plain words what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from contracts.failures import FailureClass
from docs import errors

JARGON = re.compile(
    r"\b(admission|aggregate|breaker|callback|deadlock|evidence|exception|gates?|half-open"
    r"|JetStream|leases?|NATS|outbox|PostgreSQL|projection|replicas?|SQL|stack ?trace"
    r"|subject|traceback|upstream|vN)\b",
    re.IGNORECASE,
)
"""Words that one knows only from inside Parley."""


def told() -> Iterator[tuple[str, str]]:
    """Everything that can be said, with what it says to do."""
    for said in errors.refusals():
        yield f"{said.title}. {said.detail}", said.next_step
    yield from errors.verdicts()
    for _, title, detail, next_step in errors.failures_elsewhere():
        yield f"{title}. {detail}", next_step
    yield from errors.bad_endpoints()
    for failure in errors.turn_failures():
        yield f"{failure.title}. {failure.detail}", failure.next_step


EVERYTHING = list(told())


def test_the_page_is_the_one_that_the_code_gives() -> None:
    assert errors.PAGE.read_text(encoding="utf-8") == errors.page(), "run: make docs"


@pytest.mark.parametrize(("what", "next_step"), EVERYTHING)
def test_every_error_says_what_to_do_next(what: str, next_step: str) -> None:
    assert len(next_step) > 3, what
    assert next_step[0].isupper() or next_step.startswith(("/", "parley ")), next_step
    assert next_step.endswith((".", "?")), next_step


@pytest.mark.parametrize(("what", "next_step"), EVERYTHING)
def test_every_error_is_said_in_plain_words(what: str, next_step: str) -> None:
    assert (found := JARGON.search(f"{what} {next_step}")) is None, found
    # Nothing of Python's own way to write things.
    assert not re.search(r"<class|\bNone\b|\{[a-z_]+!r\}|Error\(", what)


def test_every_kind_of_refusal_and_every_class_of_failure_is_on_the_page() -> None:
    assert {failure.class_ for failure in errors.turn_failures()} == set(FailureClass)
    slugs = {said.slug for said in errors.refusals()}
    assert {
        "invalid-key",
        "key-not-rotated",
        "key-already-here",
        "last-owner",
        "no-key",
        "retired-model",
        "secret-in-address",
        "token-expired",
        "unknown-model",
        "unknown-region",
    } <= slugs
    assert len(errors.verdicts()) > 12
    assert len(errors.bad_endpoints()) > 15
