"""Who answered what in a blind comparison is in nothing that viewers get, until somebody picks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

import msgspec
import pytest

from contracts.discussion_events import DISCUSSION_EVENTS, DiscussionOpened, TurnFact, TurnParked
from contracts.event import Event, name_of
from contracts.failures import Failure, FailureClass
from contracts.modes import Mode, Options, Purpose, Role
from services.discussion.aggregate import Pick, Retry
from services.discussion.views import view
from services.edge import answers, blind
from services.edge.feed import Fact, Feed
from tests.talks import Talk

TELLING = {
    "persona": "",
    "provider": "",
    "model": "",
    "endpoint": "",
    "key": "",
    "key_version": "",
    "participants": "",
    "instructions": "",
    "gate": "it names the provider",
    "failure": "its words name the provider",
    "evidence": "the provider's own words",
    "hint": "",
    "usage": "tokenizers differ",
    "cost": "",
    "first_token_ms": "",
    "duration_ms": "",
    "notes": "they name the model",
}
"""Fields that tell who speaks, or help to guess."""

HARMLESS = {
    "at", "discussion", "workspace", "turn", "attempt", "mode", "parameters", "title",
    "topic", "messages", "opened_by", "deadline", "options", "forked_from", "run", "budget",
    "keep_words", "participant", "purpose", "round", "labels", "posts", "about",
    "overdue_at", "reason", "not_before", "number", "trial", "from_char", "prefix_sha256",
    "class", "sent", "text", "reasoning", "finish_reason", "tool_calls", "partial",
    "failed", "cancelled_by", "reopened_by",
}  # fmt: skip
"""Fields that say nothing of who speaks."""


def compare(**options: bool) -> Talk:
    return Talk(Mode.COMPARE, "ab", options=Options(**options), other=Role.JUDGE)


def told(feed: Feed) -> bytes:
    """All that somebody is shown who comes now."""
    return b"".join(fact.frame for fact in feed.since(0))


def heard(facts: Iterable[Event], feed: Feed | None = None) -> Feed:
    feed = feed or Feed()
    for fact in facts:
        feed.fact(feed.version + 1, name_of(fact), msgspec.json.encode(fact))
    return feed


def test_of_every_field_it_is_known_whether_it_tells_who_speaks() -> None:
    for kind in get_args(TurnFact):
        fields = {field.encode_name for field in msgspec.structs.fields(kind)}
        assert fields <= TELLING.keys() | HARMLESS, (
            f"say of each new field of {kind.__name__} whether it is hidden in a blind comparison"
        )


@pytest.mark.parametrize("kind", get_args(TurnFact), ids=name_of)
def test_what_tells_who_speaks_is_in_no_fact(kind: type[Event]) -> None:
    veil = blind.Veil()
    talk = compare(blind=True)
    veil.hear("DiscussionOpened", msgspec.json.encode(talk.facts[0]))
    golden: dict[str, object] = {
        field.encode_name: "telling"
        for field in msgspec.structs.fields(kind)
        if field.encode_name in TELLING and field.encode_name not in {"failure", "participants"}
    }
    if any(field.encode_name == "failure" for field in msgspec.structs.fields(kind)):
        words = dict.fromkeys(("title", "detail", "next_step"), "telling")
        golden["failure"] = {"class": "auth", "retryable": True, **words}

    shown = veil.over(name_of(kind), msgspec.json.encode(golden))

    assert b"telling" not in shown


def test_the_names_are_told_once_somebody_has_picked() -> None:
    talk = compare(blind=True)
    feed = heard(talk.facts)
    before = len(talk.facts)
    talk.play(lambda seat, _: f"answer {seat.participant}")
    heard(talk.facts[before:], feed)
    hidden = told(feed)
    assert b"kimi/a" not in hidden
    assert b"kimi/b" not in hidden
    assert hidden.count(b"api.test") == 1, "the judge's"
    assert b"Model A" in hidden
    assert b"kimi/chief" in hidden, "who judges is known"
    assert b"answer 0" in hidden
    assert b"answer 1" in hidden
    for line in hidden.splitlines():
        if line.startswith(b"data: "):
            DISCUSSION_EVENTS.decode(line.removeprefix(b"data: "))

    before = len(talk.facts)
    talk.do(Pick(turn=next(iter(talk.over.turns)), by="eve"))
    heard(talk.facts[before:], feed)

    assert b"kimi/a" in told(feed)
    assert b"kimi/b" in told(feed)
    assert b"Model A" not in told(feed)


def test_what_the_journal_brings_later_is_hidden_as_well() -> None:
    talk = compare(blind=True)
    feed = heard(talk.facts)

    shown = feed.shown(1, "DiscussionOpened", msgspec.json.encode(talk.facts[0]))

    assert b"kimi/a" not in shown.frame
    assert b"kimi/a" in shown.data, "whoever follows within the edge is told all"


def test_where_nothing_can_be_picked_from_all_is_told_until_it_is_tried_again() -> None:
    talk = compare(blind=True)
    talk.play(lambda _seat, _shown: None)
    feed = heard(talk.facts)
    assert b"kimi/a" in told(feed)
    assert not blind.blind(view(talk.facts))

    before = len(talk.facts)
    talk.do(Retry(turn=next(iter(talk.over.turns)), by="eve"))
    heard(talk.facts[before:], feed)

    assert b"kimi/a" not in told(feed)
    assert blind.blind(view(talk.facts))


@pytest.mark.parametrize("mode", [Mode.COMPARE, Mode.PARALLEL])
def test_nothing_else_is_hidden(mode: Mode) -> None:
    talk = Talk(mode, "ab")
    (frame,) = [item for item in heard(talk.facts).since(0) if item.name == "DiscussionOpened"]

    assert isinstance(frame, Fact)
    assert msgspec.json.encode(talk.facts[0]) in frame.frame


def test_why_somebody_does_not_answer_would_tell_who_it_is() -> None:
    talk = compare(blind=True)
    assert isinstance(talk.facts[0], DiscussionOpened)
    failure = Failure(
        class_=FailureClass.AUTH,
        title="Kimi refused the key",
        detail="Moonshot said no.",
        next_step="parley keys add kimi",
        retryable=True,
    )
    seat = talk.waiting()[0]
    assert seat.purpose is Purpose.ANSWER
    parked = TurnParked(
        at=talk.now, discussion="d", turn=seat.turn, failure=failure, gate="key:kimi"
    )
    talk.facts.append(parked)

    shown = told(heard(talk.facts))
    whole = msgspec.json.encode(answers.discussion(view(talk.facts)))

    for telling in (b"Moonshot", b"Kimi", b"key:kimi"):
        assert telling not in shown
        assert telling not in whole
    assert b'"class":"auth"' in shown
    assert b'"class":"auth"' in whole
