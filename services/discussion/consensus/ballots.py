"""What a reviewer answers, and how it is read: strictly in what it means, kindly in how it is said.

Models without a JSON mode wrap their ballots in prose and fences, write "Draft B" for "B", and
repeat themselves. What can only mean one thing is taken; anything else is sent back once, with what
is wrong, and after that the reviewer abstains.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

Severity = Literal["blocking", "minor"]

MOST_OBJECTIONS = 20
LONGEST = 2_000
"""Characters of a claim or of its evidence."""


@dataclass(frozen=True, slots=True)
class Objection:
    """Something in a draft that its reviewer cannot let stand."""

    draft: str
    claim: str
    evidence: str = ""
    severity: Severity = "minor"


@dataclass(frozen=True, slots=True)
class Ballot:
    """One reviewer's order of the drafts, the best first, and what it holds against them."""

    reviewer: str
    ranking: tuple[str, ...]
    scores: Mapping[str, int] = field(default_factory=dict[str, int])
    """Draft → 1 (poor) to 10."""
    objections: tuple[Objection, ...] = ()


class BadBallot(ValueError):
    """It cannot be counted; the message says why, in words for the reviewer."""


def schema(letters: Sequence[str]) -> dict[str, Any]:
    """JSON Schema of a ballot over these letters, for providers that keep to one."""
    letter = {"type": "string", "enum": list(letters)}
    objection = {
        "type": "object",
        "properties": {
            "draft": letter,
            "claim": {"type": "string"},
            "evidence": {"type": "string"},
            "severity": {"type": "string", "enum": ["blocking", "minor"]},
        },
        "required": ["draft", "claim", "evidence", "severity"],
        "additionalProperties": False,
    }
    # Without bounds: not every provider's schemas know them, and reading minds them anyway.
    score = {"type": "integer"}
    return {
        "type": "object",
        "properties": {
            # A small model stops after its two favourites unless it is held to all of them.
            "ranking": {
                "type": "array",
                "items": letter,
                "minItems": len(letters),
                "maxItems": len(letters),
            },
            "scores": {
                "type": "object",
                "properties": dict.fromkeys(letters, score),
                "required": list(letters),
                "additionalProperties": False,
            },
            "objections": {"type": "array", "items": objection},
        },
        "required": ["ranking", "scores", "objections"],
        "additionalProperties": False,
    }


def read(text: str, reviewer: str, drafts: Mapping[str, str]) -> Ballot:
    """The ballot in what a reviewer said; `drafts`: letter → draft. BadBallot says what is wrong.

    Of several that can be counted the last one holds: a reviewer may think aloud before it votes.
    """
    wrong = BadBallot("There is no JSON object in it.")
    ballot: Ballot | None = None
    for document in objects(text):
        if "ranking" not in document:
            continue
        try:
            ballot = _ballot(document, reviewer, drafts)
        except BadBallot as error:
            wrong = error
    if ballot is None:
        raise wrong
    return ballot


def objects(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects that stand in a text, whatever is around them; not those inside others."""
    decoder = json.JSONDecoder()
    at = 0
    while (at := text.find("{", at)) >= 0:
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        if isinstance(found, dict):
            yield cast(dict[str, Any], found)
        at = end


def _ballot(document: dict[str, Any], reviewer: str, drafts: Mapping[str, str]) -> Ballot:
    said: Any = document["ranking"]
    if not isinstance(said, list):
        raise BadBallot('"ranking" is not a list of letters.')
    ranking = tuple(_draft(each, drafts) for each in cast(list[Any], said))
    if len(set(ranking)) != len(ranking):
        raise BadBallot('"ranking" has a letter twice.')
    missing = [letter for letter, draft in drafts.items() if draft not in ranking]
    if missing:
        raise BadBallot(f'"ranking" leaves out {", ".join(missing)}.')
    return Ballot(
        reviewer,
        ranking,
        _scores(document.get("scores"), drafts),
        tuple(_objections(document.get("objections"), drafts)),
    )


_LETTER = re.compile(r"(?:draft|answer|response|option)?[\s#:_-]*([a-z])\W*", re.IGNORECASE)


def _draft(said: object, drafts: Mapping[str, str]) -> str:
    match = _LETTER.fullmatch(said.strip()) if isinstance(said, str) else None
    letter = match[1].upper() if match else ""
    if letter not in drafts:
        raise BadBallot(f"There is no draft {str(said)[:40]!r}: they are {', '.join(drafts)}.")
    return drafts[letter]


def _scores(said: Any, drafts: Mapping[str, str]) -> dict[str, int]:
    """Scores break ties; a ballot without them counts all the same."""
    scores: dict[str, int] = {}
    if isinstance(said, dict):
        for name, value in cast(dict[Any, Any], said).items():
            if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10:
                try:
                    scores[_draft(name, drafts)] = value
                except BadBallot:
                    continue
    return scores


def _objections(said: Any, drafts: Mapping[str, str]) -> Iterator[Objection]:
    """Those that say what is wrong with which draft; one without a claim objects to nothing."""
    for each in cast(list[Any], said)[:MOST_OBJECTIONS] if isinstance(said, list) else []:
        if not isinstance(each, dict):
            continue
        one = cast(dict[str, Any], each)
        claim = one.get("claim")
        if not isinstance(claim, str) or not claim.strip():
            continue
        try:
            draft = _draft(one.get("draft", one.get("target")), drafts)
        except BadBallot:
            continue
        evidence = one.get("evidence")
        yield Objection(
            draft=draft,
            claim=claim.strip()[:LONGEST],
            evidence=evidence.strip()[:LONGEST] if isinstance(evidence, str) else "",
            severity="blocking" if one.get("severity") == "blocking" else "minor",
        )
