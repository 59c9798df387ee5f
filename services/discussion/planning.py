"""What each turn that a mode will probably ask for may take and cost at most. Pure."""

from __future__ import annotations

from contracts.discussion_events import DiscussionOpened
from services.discussion import prompting
from services.discussion.ledger import Worst
from services.discussion.modes import PROCESSES
from services.discussion.modes.table import Planned
from services.discussion.pricing import price_of


def stages(opened: DiscussionOpened) -> list[list[Worst]]:
    """All turns, in the order of their stages: those of one speak at the same time."""
    return [
        [worst(opened, each) for each in stage] for stage in PROCESSES[opened.mode].plan(opened)
    ]


def worst(opened: DiscussionOpened, planned: Planned) -> Worst:
    """One turn; what it reads of others is as long as it may be."""
    longest = prompting.bounded(opened, planned.participant).max_completion_tokens
    question = prompting.question_tokens(opened, planned.participant) + planned.reads * longest
    return Worst(question=question, answer=longest, price=price_of(opened, planned.participant))
