"""A discussion as a document to be taken along: Markdown for people, JSON for programs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import UNSET, Struct

from contracts.deliberation import ConsensusConcluded, DissentRecorded
from contracts.discussion import Post, TurnState
from contracts.modes import Purpose
from contracts.prices import Cost
from services.edge.answers import DiscussionAnswer, TurnAnswer

FORMAT = "parley.discussion.v1"


class Document(Struct, frozen=True, kw_only=True):
    """A discussion as its address gives it, and what the document is."""

    discussion: DiscussionAnswer
    format: str = FORMAT


def file_name(title: str, ending: str) -> str:
    """Of the title, in letters that every system takes."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].strip("-")
    return f"{words or 'discussion'}.{ending}"


def markdown(told: DiscussionAnswer) -> str:
    """Title, question, everybody in the order in which they spoke, and what came of it."""
    return "\n\n".join(_parts(told)) + "\n"


def _parts(told: DiscussionAnswer) -> Iterator[str]:
    yield f"# {_line(told.title)}"
    yield f"*{told.mode.value}, {told.state.value}, {_day(told.created_at)}*"
    yield "## Question"
    yield told.topic
    yield from _posts(told.posts, "")
    for turn in told.turns:
        yield f"## {_speaker(told, turn)}"
        yield _facts(turn)
        yield turn.text or _silence(turn)
        yield from _posts(told.posts, turn.id)
    if told.conclusion is not UNSET:
        yield from _outcome(told.conclusion, told.dissents or [])


def _posts(posts: list[Post], after: str) -> Iterator[str]:
    for post in posts:
        if post.after == after:
            yield "## A person"
            yield post.text


def _speaker(told: DiscussionAnswer, turn: TurnAnswer) -> str:
    what = "" if turn.purpose is Purpose.ANSWER else turn.purpose.value
    round_ = f"round {turn.round}" if any(one.round > 1 for one in told.turns) else ""
    picked = "picked as the best" if turn.id == told.picked else ""
    more = ", ".join(part for part in (what, round_, picked) if part)
    return f"{_line(turn.name or turn.model)} ({more})" if more else _line(turn.name or turn.model)


def _facts(turn: TurnAnswer) -> str:
    told = [
        turn.model,
        "" if turn.state is TurnState.COMPLETED else turn.state.value,
        f"{turn.usage.output_tokens} tokens" if turn.usage.output_tokens else "",
        "" if turn.cost is UNSET else _money(turn.cost),
    ]
    return f"*{', '.join(part for part in told if part)}*"


def _silence(turn: TurnAnswer) -> str:
    if turn.failure is UNSET:
        return "*No answer.*"
    return f"*No answer: {_line(turn.failure.title)}. {_line(turn.failure.detail)}*"


def _outcome(concluded: ConsensusConcluded, dissents: list[DissentRecorded]) -> Iterator[str]:
    yield f"## Outcome: {concluded.outcome.value}"
    if concluded.text:
        yield concluded.text
    for title, points in (
        ("Agreed", concluded.agreed),
        ("Contested", concluded.contested),
        ("Said by one alone", concluded.unique),
    ):
        if points:
            yield f"### {title}"
            yield "\n".join(f"- {_line(point.text)}" for point in points)
    if claims := [_line(one.claim) for one in dissents if one.claim]:
        yield "### Dissent"
        yield "\n".join(f"- {claim}" for claim in claims)


def _money(cost: Cost) -> str:
    return f"{cost.amount.normalize():f} {cost.currency}"


def _day(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _line(text: str) -> str:
    """One line: a heading ends with it."""
    return " ".join(text.split())
