"""What every event has, and how a family of events is read back for ever.

An event's tag (`discussion.turn_completed.v1`) is its name on the wire and in the log: rename
the class freely, never the tag. New fields get defaults; a new meaning gets a new tag and an
upcaster from the old one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """A fact, in the past tense."""

    WORDS: ClassVar[tuple[str, ...]] = ()
    """Fields that hold what people or models said. The journal keeps them apart, so that they
    can be deleted; each must have a default, which is what remains after that."""

    at: datetime


E = TypeVar("E", bound=Event)

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""From the plain dict of an old version to that of the next; sets the new `type`."""


class UnknownEvent(Exception):
    """An event whose tag this version of Parley does not know: written by a newer one."""

    def __init__(self, tag: str) -> None:
        super().__init__(f"no event is called {tag!r} here")
        self.tag = tag


@dataclass(frozen=True)
class EventFamily(Generic[E]):
    """All events that one service states, and how their old versions become today's."""

    service: str
    classes: tuple[type[E], ...]
    upcasters: Mapping[str, Upcaster] = field(default_factory=dict[str, Upcaster])

    def __post_init__(self) -> None:
        by_tag = {tag_of(cls): cls for cls in self.classes}
        object.__setattr__(self, "_by_tag", by_tag)

    _by_tag: dict[str, type[E]] = field(init=False, repr=False, compare=False)

    def read(self, data: Mapping[str, Any]) -> E:
        """The event in `data`, brought up to its newest version; UnknownEvent for a foreign tag."""
        document = dict(data)
        while (old := document.get("type", "")) in self.upcasters:
            document = self.upcasters[old](document)
        cls = self._by_tag.get(old)
        if cls is None:
            raise UnknownEvent(str(old))
        return msgspec.convert(document, cls)

    def decode(self, data: bytes) -> E:
        """`read` of one JSON document."""
        return self.read(msgspec.json.decode(data, type=dict[str, Any]))


def tag_of(event: Event | type[Event]) -> str:
    """The event's eternal name, e.g. `discussion.turn_completed.v1`."""
    return str(event.__struct_config__.tag)


def name_of(event: Event | type[Event]) -> str:
    """The event's short name, the last token of its subject, e.g. `TurnCompleted`."""
    return event.__name__ if isinstance(event, type) else type(event).__name__
