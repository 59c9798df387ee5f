"""How people discuss here: the modes, and what may be wished of each."""

from __future__ import annotations

import re
from enum import StrEnum

from msgspec import Struct


class Mode(StrEnum):
    SINGLE = "single"
    """One answers."""
    PARALLEL = "parallel"
    """Everybody at once, not seeing each other."""
    DEBATE = "debate"
    """In turn, seeing each other, for some rounds."""
    COMPARE = "compare"
    """One prompt, several models, side by side."""
    CONSENSUS = "consensus"
    """Sealed drafts, blind reviews, a count, and a synthesis that tells the outcome truthfully."""


class Role(StrEnum):
    """What a participant is there for, besides those who speak for themselves."""

    MEMBER = ""
    MODERATOR = "moderator"
    """Speaks after each round of a debate."""
    JUDGE = "judge"
    """Reads all answers of a comparison and says what they agree on and where they differ."""
    CHAIR = "chair"
    """Writes the synthesis of a consensus, and has no vote."""


class Purpose(StrEnum):
    """What a turn is for."""

    ANSWER = "answer"
    MODERATION = "moderation"
    JUDGEMENT = "judgement"
    DRAFT = "draft"
    REVIEW = "review"
    REPAIR = "repair"
    """A ballot that could not be counted is asked for once more."""
    REVISION = "revision"
    SYNTHESIS = "synthesis"


_PASS = re.compile(r"\W*pass\W*", re.IGNORECASE)


def passes(text: str) -> bool:
    """What a member of a debate says that has nothing to add."""
    return not text.strip() or _PASS.fullmatch(text) is not None


class Options(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Wishes of a mode; what does not concern the mode is refused at the door."""

    rounds: int = 0
    """Debate: at most so many; 0: the default, 3."""
    blind: bool = False
    """Compare: names are hidden until somebody has picked the best."""
    closed: bool = False
    """Consensus: the question has one short answer, which is voted on."""
    revisions: int = 1
    """Consensus: rounds of revision at most, 0 to 2."""
    quorum: int = 0
    """Consensus: drafts and ballots without which nothing is decided; 0: two thirds, at least 2."""
    patience: int = 0
    """Seconds that the others wait for one turn; 0: the mode's own. Compare and debate wait as long
    as it takes unless told otherwise; a consensus 15 minutes for each draft and each ballot."""
    time_limit: int = 0
    """Consensus: seconds for the whole of it; what is best then is told for what it is. 0: none."""
    seed: int = 0
    """Decides lots and the order in which drafts are shown; 0: made from the discussion's id."""
