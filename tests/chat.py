"""A small family of events for tests of the parts that carry any service's events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from msgspec import field

from contracts.event import Event, EventFamily

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Said(Event, frozen=True, kw_only=True, tag="chat.said.v2", rename={"class_": "class"}):
    WORDS: ClassVar[tuple[str, ...]] = ("text", "class_", "notes")

    who: str
    text: str = ""
    class_: str = ""
    notes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


class Left(Event, frozen=True, kw_only=True, tag="chat.left.v1"):
    who: str


def _from_v1(old: dict[str, Any]) -> dict[str, Any]:
    """Version 1 called the speaker `speaker` and the text `body`."""
    return {
        "type": "chat.said.v2",
        "at": old["at"],
        "who": old["speaker"],
        "text": old.get("body", ""),
    }


CHAT: EventFamily[Said | Left] = EventFamily(
    service="discussion", classes=(Said, Left), upcasters={"chat.said.v1": _from_v1}
)


class SaidOnce(Event, frozen=True, kw_only=True, tag="chat.said.v1"):
    """As Parley wrote it once upon a time."""

    WORDS: ClassVar[tuple[str, ...]] = ("body",)

    speaker: str
    body: str = ""


OLD_CHAT: EventFamily[SaidOnce] = EventFamily(service="discussion", classes=(SaidOnce,))


def said(text: str, who: str = "ada") -> Said:
    return Said(at=NOON, who=who, text=text)
