"""Finding a discussion by what was said in it: its title, the question, the posts, the answers.

Instructions of personas and thinking are no part of it: they would find everything.
"""

from __future__ import annotations

import re

from contracts.attempts import Message
from contracts.discussion_events import AttemptCut, AttemptFailed, DiscussionEvent, DiscussionOpened
from contracts.keeping import DiscussionRenamed

MOST_WORDS = 8
"""Of one question; more would find nothing else."""

_WORD = re.compile(r'"([^"]+)"?|(\S+)')


def words_of(q: str) -> list[bytes]:
    """What must all be found: each word, or what stands in quotation marks."""
    found = (one[0] or one[1] for one in _WORD.findall(q.lower()))
    return [_bytes(word.strip()) for word in found if word.strip()][:MOST_WORDS]


def said_in(event: DiscussionEvent) -> bytes:
    """What can be found of this fact; nothing of most."""
    match event:
        case DiscussionOpened():
            asked = [_text(message) for message in event.messages if message.role != "system"]
            return _bytes("\n".join([event.title, event.topic, *asked]).lower())
        case DiscussionRenamed():
            return _bytes(event.title.lower())
        case AttemptFailed() | AttemptCut():
            return b""  # what stands of it comes again with the turn's end
        case _:
            text = getattr(event, "text", "") if "text" in event.WORDS else ""
            return _bytes(text.lower())


def _text(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    parts = message.content or []
    return " ".join(str(part["text"]) for part in parts if part.get("type") == "text")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
