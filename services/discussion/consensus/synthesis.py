"""What the chair makes of the drafts: statements that name their sources, and none that do not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from contracts.deliberation import Point
from services.discussion.consensus.ballots import objects

PARTS = ("answer", "agreed", "contested", "unique", "left_out")
MOST = 60
"""Points of a part."""


def schema(letters: Sequence[str]) -> dict[str, Any]:
    """JSON Schema of a synthesis, for providers that keep to one."""
    point = {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "drafts": {"type": "array", "items": {"type": "string", "enum": list(letters)}},
        },
        "required": ["text", "drafts"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {part: {"type": "array", "items": point} for part in PARTS},
        "required": list(PARTS),
        "additionalProperties": False,
    }


@dataclass(frozen=True, slots=True)
class Synthesis:
    """Every statement with the drafts that it comes from."""

    text: str
    agreed: tuple[Point, ...] = ()
    contested: tuple[Point, ...] = ()
    unique: tuple[Point, ...] = ()
    left_out: tuple[Point, ...] = ()
    uncited: int = 0
    """Statements that named no draft, and are not here."""

    @property
    def points(self) -> tuple[Point, ...]:
        """Those that tell what the drafts have in common, or not."""
        return self.agreed + self.contested + self.unique


def read(text: str, drafts: Mapping[str, str]) -> Synthesis | None:
    """`drafts`: letter → draft. None if nothing in it is both readable and from a draft."""
    found: Synthesis | None = None
    for document in objects(text):
        if any(part in document for part in PARTS):
            found = _synthesis(document, drafts) or found
    return found


def _synthesis(document: dict[str, Any], drafts: Mapping[str, str]) -> Synthesis | None:
    cited: dict[str, tuple[Point, ...]] = {}
    uncited = 0
    for part in PARTS:
        said = list(_points(document.get(part), drafts))
        cited[part] = tuple(point for point in said if point.drafts)
        uncited += len(said) - len(cited[part])
    # One draft's alone is not agreed on, whatever it was put under.
    agreed = tuple(point for point in cited["agreed"] if len(point.drafts) > 1)
    alone = tuple(point for point in cited["agreed"] if len(point.drafts) == 1)
    statements = cited["answer"] or agreed + cited["unique"] + alone
    if not statements:
        return None
    return Synthesis(
        text="\n\n".join(point.text for point in statements),
        agreed=agreed,
        contested=cited["contested"],
        unique=cited["unique"] + alone,
        left_out=cited["left_out"],
        uncited=uncited,
    )


def _points(said: Any, drafts: Mapping[str, str]) -> Iterator[Point]:
    if isinstance(said, str):
        said = [said]
    for each in cast("list[Any]", said)[:MOST] if isinstance(said, list) else []:
        if isinstance(each, str):
            yield Point(text=each.strip())
        elif isinstance(each, dict):
            one = cast("dict[str, Any]", each)
            text = one.get("text", one.get("point"))
            if isinstance(text, str) and text.strip():
                yield Point(text=text.strip(), drafts=_cited(one.get("drafts"), drafts))


_LETTER = re.compile(r"(?:draft)?[\s#:_-]*([a-z])\W*", re.IGNORECASE)


def _cited(said: Any, drafts: Mapping[str, str]) -> list[str]:
    """The drafts that are named by letters that there are."""
    names = cast("list[Any]", said) if isinstance(said, list) else [said]
    matches = [_LETTER.fullmatch(name.strip()) for name in names if isinstance(name, str)]
    letters = [match[1].upper() for match in matches if match]
    return list(dict.fromkeys(drafts[letter] for letter in letters if letter in drafts))
