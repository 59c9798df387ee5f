"""Panels as the page hears of them: one of four, of whom one could not take part, told fact by
fact; and any that the engine itself has played with scripted members.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tests.sittings import Sitting

Fact = tuple[str, dict[str, Any]]

ADA, BO, CY, DEE = range(4)
NAMES = ("Ada", "Bo", "Cy", "Dee")
QUESTION = "Should a small bakery take orders online?"
DRAFTS = {
    "draft-ada": (
        "Yes, but only for **pick-up**. Delivery eats the margin.\n\n"
        "- Take orders until 18:00 for the next morning.\n- Ask for payment at once."
    ),
    "draft-bo": "Yes, with delivery in the quarter. Regulars will pay for it.",
    "draft-cy": "Yes, for pick-up, and begin with three products.",
}
SYNTHESIS = (
    "Take orders online **for pick-up**, until 18:00 for the next morning, and begin with few "
    "products. Whether delivery pays is open."
)
FAILURE = {
    "class": "billing",
    "title": "The account has no balance",
    "detail": "The provider refuses to answer until it is charged.",
    "next_step": "Charge the account.",
    "retryable": True,
}
USAGE = {"input_tokens": 220, "output_tokens": 96, "status": "measured"}


class Story:
    """Facts in the order in which they happen, each with its time."""

    def __init__(self, discussion: str) -> None:
        self.discussion = discussion
        self.facts: list[Fact] = []

    def tell(self, name: str, **data: Any) -> None:
        second = len(self.facts)
        at = f"2026-01-01T12:{second // 60:02}:{second % 60:02}Z"
        self.facts.append((name, {"discussion": self.discussion, "at": at, **data}))

    def turn(self, id: str, who: int, text: str, **about: Any) -> None:
        """A turn from its call to its end."""
        self.tell("TurnScheduled", turn=id, participant=who, persona=NAMES[who].lower(), **about)
        self.tell("AttemptStarted", turn=id, attempt=id, number=1, provider="kimi", model="k2")
        self.tell(
            "TurnCompleted", turn=id, attempt=id, model="kimi/k2", text=text, finish_reason="stop",
            usage=USAGE, cost={"amount": "0.0021", "currency": "USD"}, first_token_ms=400,
            duration_ms=2_400,
        )  # fmt: skip


def opened(story: Story, mode: str, **options: Any) -> None:
    story.tell(
        "DiscussionOpened",
        topic=QUESTION,
        title=QUESTION,
        mode=mode,
        options=options,
        participants=[
            {"persona": name.lower(), "name": name, "model": "kimi/k2"} for name in NAMES
        ],
    )


def until_the_count(discussion: str) -> Story:
    """Drafts, reviews and what the ballots say."""
    story = Story(discussion)
    opened(story, "consensus")
    for who, (id, text) in zip((ADA, BO, CY), DRAFTS.items(), strict=True):
        story.turn(id, who, text, purpose="draft")
    story.tell("TurnScheduled", turn="draft-dee", participant=DEE, persona="dee", purpose="draft")
    story.tell("TurnFailed", turn="draft-dee", failure=FAILURE)
    story.tell("PanelSealed", drafts=dict.fromkeys(DRAFTS, "00"), absent=[DEE], seed=7)
    rankings = {
        ADA: ["draft-ada", "draft-cy", "draft-bo"],
        BO: ["draft-ada", "draft-cy", "draft-bo"],
        CY: ["draft-ada", "draft-cy", "draft-bo"],
    }
    for who, ranking in rankings.items():
        id = f"review-{NAMES[who].lower()}"
        labels = dict(zip("ABC", [*ranking[who:], *ranking[:who]], strict=True))
        story.turn(id, who, '{"ranking": ["A", "B", "C"]}', purpose="review", labels=labels)
        objection = {
            "id": f"o{who}",
            "draft": "draft-bo",
            "claim": "Nobody has counted what a driver costs.",
            "evidence": "The draft names no figure.",
            "severity": "blocking" if who == CY else "minor",
        }
        story.tell(
            "BallotSubmitted", turn=id, member=who, round=1, ranking=ranking,
            scores={ranking[0]: 8, ranking[1]: 6, ranking[2]: 4},
            objections=[] if who == BO else [objection],
        )  # fmt: skip
    story.tell(
        "RoundTallied", round=1, ballots=3, winner="draft-ada", runner_up="draft-cy",
        rule="condorcet", condorcet="draft-ada",
        borda={"draft-ada": 1.0, "draft-cy": 0.5, "draft-bo": 0.0},
        wins={"draft-ada": {"draft-cy": 2, "draft-bo": 2}, "draft-cy": {"draft-bo": 2}},
        margin=0.5, agreement=1.0, needed=1.0, blocking={"draft-bo": ["o2"]}, outcome="consensus",
    )  # fmt: skip
    story.tell("StopDecided", rule="S2", round=1)
    return story


def consensus(discussion: str) -> list[Fact]:
    """It agrees."""
    story = until_the_count(discussion)
    story.turn("write-up", ADA, '{"text": "…"}', purpose="synthesis")
    story.tell(
        "DissentRecorded", id="d1", member=BO, draft="draft-bo", kind="minority",
        claim="Delivery is what regulars ask for.", round=1,
    )  # fmt: skip
    story.tell(
        "ConsensusConcluded", outcome="consensus", winner="draft-ada", leaders=["draft-ada"],
        text=SYNTHESIS,
        agreed=[{"text": "Orders for pick-up pay.", "drafts": ["draft-ada", "draft-cy"]}],
        contested=[{"text": "Whether delivery pays.", "drafts": ["draft-ada", "draft-bo"]}],
        unique=[{"text": "Begin with three products.", "drafts": ["draft-cy"]}],
        dissents=["d1"],
        metrics={
            "agreement": 1.0, "kept": 5, "dropped": 1, "requests": 7, "tokens": 2_212,
            "cost": "0.0147", "cost_of_best": "0.0021",
        },
    )  # fmt: skip
    story.tell("DiscussionCompleted", failed=["draft-dee"])
    return story.facts


def split(discussion: str) -> list[Fact]:
    """It does not."""
    story = until_the_count(discussion)
    story.tell(
        "ConsensusConcluded", outcome="split", leaders=["draft-ada", "draft-bo"], text="both",
        metrics={"requests": 6, "tokens": 1_896},
    )  # fmt: skip
    story.tell("DiscussionCompleted", failed=["draft-dee"])
    return story.facts


def played(sitting: Sitting) -> list[Fact]:
    """What the engine says of a panel, as it goes over the wire."""
    sitting.play()
    return [(type(event).__name__, msgspec.to_builtins(event)) for event in sitting.log]
