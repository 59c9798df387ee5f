"""What an author answers to objections: a changed draft that names them, or that it stays."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, cast

from services.discussion.consensus.ballots import objects

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "cites": {"type": "array", "items": {"type": "string"}},
        "draft": {"type": "string"},
    },
    "required": ["cites", "draft"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Changed:
    """The new draft, and the objections that it was changed for."""

    draft: str
    cites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """The draft stays as it was."""

    reason: str


def read(text: str, shown: Collection[str]) -> Changed | Kept:
    """`shown`: ids of the objections that the author was shown: no others are reasons to change."""
    result: Changed | Kept = Kept("Its answer to the objections could not be read.")
    for document in objects(text):
        if "draft" not in document and "cites" not in document:
            continue
        cites, draft = document.get("cites"), document.get("draft")
        said = cast("list[Any]", cites) if isinstance(cites, list) else [cites]
        named = [each.strip() for each in said if isinstance(each, str)]
        known = tuple(dict.fromkeys(each for each in named if each in shown))
        if not isinstance(draft, str) or not draft.strip():
            result = Kept("It stays with its draft.")
        elif not known:
            result = Kept("It named no objection that it was shown as its reason.")
        else:
            result = Changed(draft.strip(), known)
    return result
