"""No name can become more of a subject than the one token it is meant to be."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import BadToken, token
from contracts.subjects import (
    ADMIN,
    INTEGRATION,
    SERVICES,
    STREAMS,
    VERBS,
    chunk_subject,
    command_subject,
    discussion_chunks,
    discussion_events,
    event_subject,
    inbox,
    outcome_subject,
    quarantine_subject,
)
from shared.message import checked_pattern, checked_subject
from shared.topology import permissions_of

PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
FORBIDDEN = [
    "",
    ".",
    "*",
    ">",
    " ",
    "\t",
    "\r",
    "\n",
    "\r\n",
    "\x00",
    "a.b",
    "a*",
    "*a",
    "a>",
    "a b",
    "a\tb",
    "a\r\nPUB parley.cmd.provider_adapter.attempt 0",
    "a\n",
    "a\x00",
    "ä",
    "日本",
    "١٢٣",  # digits, but not ASCII
    "a\u2028b",
    "a\ufeff",
    "-a",
    "_a",
    "$JS",
    "x" * 65,
    "x" * (1 << 20),
]

Builder = Callable[[str], str]
BUILDERS: dict[str, Builder] = {
    "event workspace": lambda t: event_subject(t, "discussion", "d", "E"),
    "event service": lambda t: event_subject("w", t, "d", "E"),
    "event id": lambda t: event_subject("w", "discussion", t, "E"),
    "event name": lambda t: event_subject("w", "discussion", "d", t),
    "command service": lambda t: command_subject(t, "get"),
    "command verb": lambda t: command_subject("persona", t),
    "chunk workspace": lambda t: chunk_subject(t, "d", "a"),
    "chunk discussion": lambda t: chunk_subject("w", t, "a"),
    "chunk attempt": lambda t: chunk_subject("w", "d", t),
    "outcome workspace": lambda t: outcome_subject(t, "d", "a"),
    "outcome discussion": lambda t: outcome_subject("w", t, "a"),
    "outcome attempt": lambda t: outcome_subject("w", "d", t),
    "events of a discussion, workspace": lambda t: discussion_events(t, "d"),
    "events of a discussion": lambda t: discussion_events("w", t),
    "chunks of a discussion, workspace": lambda t: discussion_chunks(t, "d"),
    "chunks of a discussion": lambda t: discussion_chunks("w", t),
    "quarantine stream": lambda t: quarantine_subject(t, "c", 1),
    "quarantine consumer": lambda t: quarantine_subject("S", t, 1),
    "inbox": inbox,
}


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS.keys())
@pytest.mark.parametrize("text", FORBIDDEN, ids=lambda text: repr(text[:20]))
def test_a_forbidden_token_never_gets_into_a_subject(build: Builder, text: str) -> None:
    with pytest.raises(BadToken):
        build(text)


@given(st.text(max_size=80))
def test_a_token_is_plain_or_refused(text: str) -> None:
    if PLAIN.fullmatch(text):
        assert token(text) == text
    else:
        with pytest.raises(BadToken):
            token(text)


@given(st.lists(st.from_regex(PLAIN, fullmatch=True), min_size=3, max_size=3))
def test_a_subject_has_as_many_tokens_as_it_is_built_of(parts: list[str]) -> None:
    subject = chunk_subject(*parts)
    assert subject.split(".") == ["parley", "chunk", *parts]
    assert checked_subject(subject) == checked_pattern(subject) == subject


@given(st.text(max_size=60))
def test_the_bus_sends_only_what_is_one_plain_subject(text: str) -> None:
    parts = text.split(".")
    fine = all(part and part.isascii() and part.isprintable() for part in parts)
    fine = fine and not any(char in text for char in " *>")
    if fine:
        assert checked_subject(text) == text
    else:
        with pytest.raises(BadToken):
            checked_subject(text)


@pytest.mark.parametrize("pattern", ["a.*.b", "a.>", ">", "*", "*.>", "$JS.API.>", "_INBOX_a.x.*"])
def test_whole_wildcards_may_be_listened_to(pattern: str) -> None:
    assert checked_pattern(pattern) == pattern


@pytest.mark.parametrize(
    "pattern", ["", "a.>.b", "a*", "a.*b", ">a", "a..b", ".a", "a.", "a b", "a\n"]
)
def test_half_wildcards_may_not(pattern: str) -> None:
    with pytest.raises(BadToken):
        checked_pattern(pattern)


def test_a_huge_token_is_not_repeated_in_the_complaint() -> None:
    with pytest.raises(BadToken) as caught:
        token("x" * (1 << 20))
    assert len(str(caught.value)) < 200


# --- The declaration agrees with itself -----------------------------------------------------


def test_no_two_streams_take_the_same_subject() -> None:
    kinds = [subject.split(".")[1] for stream in STREAMS for subject in stream.subjects]
    assert len(set(kinds)) == len(kinds)


def test_every_stream_limits_its_consumers_itself() -> None:
    """nats-server 2.15 caps an unset limit at 1,000."""
    assert all(stream.max_consumers > 0 for stream in STREAMS)


def test_only_services_ask_services() -> None:
    for service, verbs in VERBS.items():
        assert service not in {asker for verb in verbs for asker in verb.askers}
        for verb in verbs:
            assert verb.askers <= set(SERVICES)


def test_only_discussion_asks_the_adapter_and_only_the_adapter_leases() -> None:
    assert {asker for verb in VERBS["provider_adapter"] for asker in verb.askers} == {"discussion"}
    (lease,) = [verb for verb in VERBS["key_vault"] if verb.name == "lease"]
    assert lease.askers == {"provider_adapter"}
    (report,) = [verb for verb in VERBS["key_vault"] if verb.name == "report"]
    assert report.askers == {"discussion"}


@pytest.mark.parametrize("credential", [*SERVICES, ADMIN, INTEGRATION])
def test_permissions_are_spelt_out(credential: str) -> None:
    allowed = permissions_of(credential)
    for pattern in (*allowed.publish, *allowed.subscribe):
        assert checked_pattern(pattern) == pattern
        assert pattern != ">"
        assert not pattern.startswith(("*", "_INBOX.", "parley.>", "parley.*"))
    hears = [pattern for pattern in allowed.subscribe if pattern.startswith("_INBOX")]
    assert hears == [f"{inbox(credential)}.>"]
