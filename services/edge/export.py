"""A discussion as a document to be taken along: Markdown for people, JSON for programs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import Struct

from contracts.discussion import Cost, DiscussionView, Post, TurnState, TurnView
from contracts.modes import Purpose
from services.edge.answers import DiscussionAnswer

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


def markdown(view: DiscussionView) -> str:
    """Title, question, and everybody in the order in which they spoke."""
    return "\n\n".join(_parts(view)) + "\n"


def _parts(view: DiscussionView) -> Iterator[str]:
    yield f"# {_line(view.title)}"
    yield f"*{view.mode.value}, {view.state.value}, {_day(view.created_at)}*"
    yield "## Question"
    yield view.topic
    yield from _posts(view.posts, "")
    for place, turn in enumerate(view.turns):
        yield f"## {_speaker(view, turn, place)}"
        yield _facts(view, turn)
        yield turn.text or _silence(turn)
        yield from _posts(view.posts, turn.id)


def _posts(posts: list[Post], after: str) -> Iterator[str]:
    for post in posts:
        if post.after == after:
            yield "## A person"
            yield post.text


def _hidden(view: DiscussionView) -> bool:
    """Names are not told before somebody has picked."""
    return view.options.blind and not view.picked


def _speaker(view: DiscussionView, turn: TurnView, place: int) -> str:
    who = f"Answer {place + 1}" if _hidden(view) else _line(turn.name or turn.model)
    what = "" if turn.purpose is Purpose.ANSWER else turn.purpose.value
    round_ = f"round {turn.round}" if view.turns[-1].round > 1 else ""
    picked = "picked as the best" if turn.id == view.picked else ""
    more = ", ".join(part for part in (what, round_, picked) if part)
    return f"{who} ({more})" if more else who


def _facts(view: DiscussionView, turn: TurnView) -> str:
    told = [
        "" if _hidden(view) else turn.model,
        "" if turn.state is TurnState.COMPLETED else turn.state.value,
        f"{turn.usage.output_tokens} tokens" if turn.usage.output_tokens else "",
        _money(turn.cost) if turn.cost is not None and not _hidden(view) else "",
    ]
    return f"*{', '.join(part for part in told if part) or 'nothing said yet'}*"


def _silence(turn: TurnView) -> str:
    if turn.failure is None:
        return "*No answer.*"
    return f"*No answer: {_line(turn.failure.title)}. {_line(turn.failure.detail)}*"


def _money(cost: Cost) -> str:
    return f"{cost.amount.normalize():f} {cost.currency}"


def _day(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _line(text: str) -> str:
    """One line: a heading ends with it."""
    return " ".join(text.split())
