"""How somebody's words are shown to somebody else: attributed, and fenced in.

What a model has said is no instruction to the next one. It stands between marks that it cannot
close itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from contracts.attempts import Message
from contracts.discussion_events import DiscussionOpened

_MARK = re.compile(r"<(/?)(contribution|draft|answer|objection)\b", re.IGNORECASE)


def fenced(mark: str, name: str, text: str) -> str:
    """`text` between marks that bear its name."""
    inside = _MARK.sub(r"‹\1\2", text.strip())
    quoted = name.replace('"', "'").replace("\n", " ")
    return f'<{mark} name="{quoted}">\n{inside}\n</{mark}>'


def question(opened: DiscussionOpened) -> list[Message]:
    """What everything is about."""
    return list(opened.messages) or [Message(role="user", content=opened.topic)]


def asked(opened: DiscussionOpened) -> str:
    """The question as one text."""
    if opened.topic or not opened.messages:
        return opened.topic
    parts = (message.content for message in opened.messages)
    return "\n\n".join(part for part in parts if isinstance(part, str))


def joined(messages: Sequence[Message]) -> list[Message]:
    """Neighbours in the same role as one message: some providers insist that roles alternate."""
    whole: list[Message] = []
    for message in messages:
        last = whole[-1] if whole else None
        if (
            last is not None
            and last.role == message.role
            and isinstance(last.content, str)
            and isinstance(message.content, str)
        ):
            whole[-1] = Message(role=last.role, content=f"{last.content}\n\n{message.content}")
        else:
            whole.append(message)
    return whole
