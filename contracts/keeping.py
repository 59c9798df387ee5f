"""What becomes of a discussion afterwards: it gets another title, or its words are deleted."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from contracts.deliberation import DiscussionFact


class DiscussionRenamed(DiscussionFact, frozen=True, kw_only=True, tag="discussion.renamed.v1"):
    WORDS: ClassVar[tuple[str, ...]] = ("title",)

    title: str = ""
    renamed_by: str = ""


class DiscussionDeleted(DiscussionFact, frozen=True, kw_only=True, tag="discussion.deleted.v1"):
    """What was said in it is gone for good, here and on the bus; who, when, which model and what it
    cost stay. Nothing comes after it.
    """

    deleted_by: str = ""


KeepingFact = DiscussionRenamed | DiscussionDeleted
"""May come when the discussion is over, and change nothing of how it ended."""


class RenameDiscussion(Struct, frozen=True, kw_only=True):
    """`rename`: give it another title. Answers Done."""

    workspace: str
    discussion: str
    title: str
    by: str = ""


class DeleteDiscussion(Struct, frozen=True, kw_only=True):
    """`delete`: its words go, what runs of it is cancelled first. Deleting twice changes nothing
    and is no error. Answers Done.
    """

    workspace: str
    discussion: str
    by: str = ""
