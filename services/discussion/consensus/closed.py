"""Questions with one short answer: how a draft is asked for it, and how it is compared."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from services.discussion.consensus.ballots import objects

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reasons": {"type": "string"},
        "answer": {"type": "string"},
        "confidence": {"type": "number"},
    },
    "required": ["reasons", "answer", "confidence"],
    "additionalProperties": False,
}

LONGEST = 200
"""Characters of an answer that can be compared."""

UNSAID = 0.5
"""The confidence of who names none."""

_SAID = re.compile(r"^\W*(?:final\s+)?answer\W*?[:=]\s*(.+)$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is voted on."""

    key: str
    """So that the same answer in other writing is the same."""
    confidence: float = UNSAID


def read(text: str) -> Answer | None:
    """The answer that a draft comes to; None if it comes to none."""
    found: Answer | None = None
    for document in objects(text):
        said = document.get("answer")
        if isinstance(said, bool):
            said = "yes" if said else "no"
        if isinstance(said, str | int | float) and (key := _key(str(said))):
            found = Answer(key, _confidence(document.get("confidence")))
    if found is not None:
        return found
    lines = _SAID.findall(text)
    key = _key(lines[-1] if lines else text)
    return Answer(key) if key else None


def _key(said: str) -> str:
    """Without case, marks and spaces around, which make no difference; empty if too long."""
    plain = unicodedata.normalize("NFKC", said).casefold()
    plain = " ".join(plain.split()).strip(" \"'`*_.,;:!?()[]“”‘’")
    return plain if len(plain) <= LONGEST else ""


def _confidence(said: object) -> float:
    if isinstance(said, bool) or not isinstance(said, int | float):
        return UNSAID
    share = said / 100 if 1 < said <= 100 else said
    return min(max(float(share), 0.0), 1.0)
