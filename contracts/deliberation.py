"""What happens between the turns of a discussion: posts, votes, picks, outcomes.

Ballots name drafts by the turns that they were given in, never by the letters under which a
reviewer saw them; those stand in the review's TurnScheduled.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Literal

from msgspec import Struct

from contracts.event import Event


class DiscussionFact(Event, frozen=True, kw_only=True):
    """A fact of one discussion."""

    discussion: str


class MessagePosted(DiscussionFact, frozen=True, kw_only=True, tag="discussion.message_posted.v1"):
    """A person says something into the discussion: whoever speaks from now on has heard it."""

    WORDS: ClassVar[tuple[str, ...]] = ("text",)

    message: str
    text: str = ""
    posted_by: str = ""


class TurnOverdue(DiscussionFact, frozen=True, kw_only=True, tag="discussion.turn_overdue.v1"):
    """The others go on without it. Should it still come, it is kept, and not counted."""

    turn: str


class StopDecided(DiscussionFact, frozen=True, kw_only=True, tag="discussion.stop_decided.v1"):
    """No further round. The rule that said so: of a debate `rounds`, `nothing new` or `posted`; of
    a consensus S1 (the leader cannot be caught up with), S2 (they agree), S3 (nothing moves any
    more), S4 (no revision is left), S5 (budget or time is used up), S6 (too few are left). Of both
    `by hand`.
    """

    rule: str
    round: int


class WinnerPicked(DiscussionFact, frozen=True, kw_only=True, tag="discussion.winner_picked.v1"):
    """A person has picked the best answer; the last pick counts."""

    turn: str
    picked_by: str = ""
    blind: bool = False
    """The names were hidden until then."""


# --- Consensus --------------------------------------------------------------------------------


class PanelSealed(DiscussionFact, frozen=True, kw_only=True, tag="discussion.panel_sealed.v1"):
    """The drafts that count. No member has seen any of them before this."""

    drafts: dict[str, str]
    """Turn → SHA-256 of its text, hexadecimal."""
    absent: list[int] = []
    """Members without a draft, by their index."""
    seed: int = 0


class Objection(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a reviewer cannot let stand in a draft."""

    id: str
    draft: str
    """The turn it was given in."""
    claim: str
    evidence: str = ""
    severity: Literal["blocking", "minor"] = "minor"


class BallotSubmitted(
    DiscussionFact, frozen=True, kw_only=True, tag="discussion.ballot_submitted.v1"
):
    """A review that can be counted. Drafts are named by their turns."""

    WORDS: ClassVar[tuple[str, ...]] = ("objections",)

    turn: str
    member: int
    round: int
    ranking: list[str]
    """Best first."""
    scores: dict[str, int] = {}
    """Draft → 1 to 10."""
    objections: list[Objection] = []


class BallotRejected(
    DiscussionFact, frozen=True, kw_only=True, tag="discussion.ballot_rejected.v1"
):
    """A review that cannot be counted, and why. It is asked for once more, then it abstains."""

    WORDS: ClassVar[tuple[str, ...]] = ("reason",)

    turn: str
    member: int
    round: int
    reason: str = ""
    """Quotes what was said."""
    abstains: bool = False


class RoundTallied(DiscussionFact, frozen=True, kw_only=True, tag="discussion.round_tallied.v1"):
    """What the ballots of a round say; of a closed question, what the sealed answers say."""

    WORDS: ClassVar[tuple[str, ...]] = ("answers",)

    round: int
    ballots: int
    """Counted."""
    answers: dict[str, str] = {}
    """Of a closed question: draft → its answer, as it was counted."""
    winner: str = ""
    runner_up: str = ""
    rule: str = "none"
    """What decided: condorcet, borda, objections, scores, seed, plurality; none if nobody won."""
    condorcet: str = ""
    borda: dict[str, float] = {}
    wins: dict[str, dict[str, int]] = {}
    """a → b → ballots that put a before b."""
    margin: float = 0.0
    agreement: float | None = None
    """Kendall's W over the ballots that rank every draft; None where it says nothing."""
    needed: float | None = None
    """The W from which on a panel of this size agrees by more than chance; None: never."""
    blocking: dict[str, list[str]] = {}
    """Draft → ids of the blocking objections to it."""
    outcome: str = ""
    """What it would be, were this the end."""


class PositionChanged(
    DiscussionFact, frozen=True, kw_only=True, tag="discussion.position_changed.v1"
):
    """A member has changed its draft for the objections that it names."""

    turn: str
    """The revision."""
    draft: str
    """The draft that it stands for from now on, by the turn it was first given in."""
    member: int
    round: int
    cites: list[str]


class PositionKept(DiscussionFact, frozen=True, kw_only=True, tag="discussion.position_kept.v1"):
    """A member stays with its draft; or its revision names no objection, and does not count."""

    turn: str
    draft: str
    member: int
    round: int
    reason: str = ""


class DissentRecorded(
    DiscussionFact, frozen=True, kw_only=True, tag="discussion.dissent_recorded.v1"
):
    """What stands against the result and was not answered."""

    WORDS: ClassVar[tuple[str, ...]] = ("claim", "evidence")

    id: str
    member: int
    """Who says so; revealed after the seal."""
    draft: str
    """Against which draft, or, for a minority, which draft it holds up instead."""
    kind: Literal["objection", "minority", "flip"]
    claim: str = ""
    """What is wrong; of a minority, how the draft begins that it holds up."""
    evidence: str = ""
    round: int = 1
    """In which it was said first."""
    answered_by: str = ""
    """The revision that tried to answer it."""


class Outcome(StrEnum):
    CONSENSUS = "consensus"
    MAJORITY = "majority"
    SPLIT = "split"
    INSUFFICIENT = "insufficient"


class Metrics(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the panel did to its own ideas, and what it took."""

    agreement: float | None = None
    kept: int = 0
    """Points of the drafts that the synthesis has, each with its drafts."""
    dropped: int = 0
    """Points that it says it leaves out, and drafts that it names nowhere."""
    flips: int = 0
    """Rounds whose winner was another than that of the sealed drafts."""
    requests: int = 0
    tokens: int = 0
    unsettled: int = 0
    """Requests that were still being answered, or given up: what they cost comes on top."""
    cost: str = ""
    """Of all turns, in USD; empty where a price is not known."""
    cost_of_best: str = ""
    """Of the winning draft alone."""


class Point(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One statement of a synthesis, and the drafts it comes from."""

    text: str
    drafts: list[str] = []


class ConsensusConcluded(
    DiscussionFact, frozen=True, kw_only=True, tag="discussion.consensus_concluded.v1"
):
    """How the panel ended: exactly once. What is tried again or said after it changes nothing."""

    WORDS: ClassVar[tuple[str, ...]] = ("text", "agreed", "contested", "unique", "left_out")

    run: int = 1
    outcome: Outcome
    winner: str = ""
    """The draft; of a split none, both are shown."""
    leaders: list[str] = []
    """The winner; the drafts that a split is between; all drafts where nothing was decided."""
    text: str = ""
    """The synthesis, or the winning draft where none could be made; else the leaders, unblended."""
    agreed: list[Point] = []
    contested: list[Point] = []
    unique: list[Point] = []
    """Worth knowing, and said by one alone."""
    left_out: list[Point] = []
    """What the drafts say and the synthesis does not."""
    dissents: list[str] = []
    """Ids of DissentRecorded."""
    notes: list[str] = []
    """What a reader should know, e.g. that claims without a source were left out."""
    metrics: Metrics = Metrics()


ModeFact = (
    MessagePosted
    | TurnOverdue
    | StopDecided
    | WinnerPicked
    | PanelSealed
    | BallotSubmitted
    | BallotRejected
    | RoundTallied
    | PositionChanged
    | PositionKept
    | DissentRecorded
    | ConsensusConcluded
)
"""Facts that are not a turn's own: the mode of the discussion makes of them what it will."""


class Lineage(Struct, frozen=True, kw_only=True):
    """Where a discussion was forked from."""

    discussion: str
    turn: str
