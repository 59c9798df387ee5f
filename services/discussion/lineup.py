"""Who may take part in what: each mode has its rules, and says what to do where they are broken."""

from __future__ import annotations

from contracts.discussion import OpenDiscussion, WantedParticipant
from contracts.failures import Invalid
from contracts.modes import Mode, Options, Role
from services.discussion.modes.debate import MOST_ROUNDS

MOST = 8
"""Members of one discussion."""

FEWEST: dict[Mode, int] = {Mode.DEBATE: 2, Mode.COMPARE: 2, Mode.CONSENSUS: 2}

ROLES: dict[Mode, Role] = {
    Mode.DEBATE: Role.MODERATOR,
    Mode.COMPARE: Role.JUDGE,
    Mode.CONSENSUS: Role.CHAIR,
}
"""Who else there may be, once."""

OPTIONS: dict[str, frozenset[Mode]] = {
    "rounds": frozenset({Mode.DEBATE}),
    "blind": frozenset({Mode.COMPARE}),
    "closed": frozenset({Mode.CONSENSUS}),
    "revisions": frozenset({Mode.CONSENSUS}),
    "quorum": frozenset({Mode.CONSENSUS}),
    "time_limit": frozenset({Mode.CONSENSUS}),
    "seed": frozenset({Mode.CONSENSUS}),
}
"""Wishes that only some modes know."""

MOST_REVISIONS = 2
LONGEST = 86_400
"""Seconds that a panel may be given."""


def check(command: OpenDiscussion) -> None:
    """Invalid says what does not fit and what would."""
    members = [each for each in command.participants if each.role is Role.MEMBER]
    _members(command.mode, len(members))
    _others(command.mode, command.participants)
    _wishes(command.mode, command.options, len(members))
    if not command.topic.strip() and not command.messages:
        raise Invalid(
            "There is nothing to answer.",
            slug="empty-topic",
            errors=[{"field": "topic", "message": "must say something"}],
            next_step="Write what is to be discussed into topic.",
        )


def _members(mode: Mode, count: int) -> None:
    fewest = FEWEST.get(mode, 1)
    if not fewest <= count <= MOST:
        raise Invalid(
            f"A discussion in mode {mode.value} has {fewest} to {MOST} participants, not {count}.",
            slug="participants",
            errors=[{"field": "participants", "message": f"between {fewest} and {MOST}"}],
            next_step="Name fewer at once, or begin a second discussion."
            if count > MOST
            else "Name more; the same model may take part twice.",
        )
    if mode is Mode.SINGLE and count != 1:
        raise Invalid(
            f"`single` has one participant, not {count}.",
            slug="participants",
            next_step="Use mode parallel for several.",
            errors=[{"field": "mode", "message": "single takes exactly one participant"}],
        )


def _others(mode: Mode, participants: list[WantedParticipant]) -> None:
    others = [each.role for each in participants if each.role is not Role.MEMBER]
    known = ROLES.get(mode)
    for role in others:
        if role is not known or len(others) > 1:
            allowed = f"one {known.value}" if known else "members only"
            raise Invalid(
                f"A discussion in mode {mode.value} has no {role.value} of that kind: {allowed}.",
                slug="participants",
                errors=[{"field": "participants", "message": f"mode {mode.value}: {allowed}"}],
                next_step="Leave it out, or choose the mode that has one: debate a moderator, "
                "compare a judge, consensus a chair.",
            )


def _wishes(mode: Mode, options: Options, members: int) -> None:
    usual = Options()
    for name, modes in OPTIONS.items():
        if getattr(options, name) != getattr(usual, name) and mode not in modes:
            where = " and ".join(sorted(each.value for each in modes))
            raise _bad(name, f"mode {mode.value} does not have it", f"It belongs to {where}.")
    if not 0 <= options.rounds <= MOST_ROUNDS:
        raise _bad("rounds", f"between 1 and {MOST_ROUNDS}", "Post a message for one more round.")
    if not 0 <= options.revisions <= MOST_REVISIONS:
        raise _bad("revisions", f"between 0 and {MOST_REVISIONS}", "More make panels conform.")
    if options.quorum and not 2 <= options.quorum <= members:
        raise _bad("quorum", f"between 2 and the {members} members", "Or leave it out.")
    if options.patience < 0:
        raise _bad("patience", "seconds, 0 or more", "Leave it out for the usual patience.")
    if not 0 <= options.time_limit <= LONGEST:
        raise _bad("time_limit", f"seconds, at most {LONGEST}", "Leave it out for no limit.")


def _bad(name: str, message: str, next_step: str) -> Invalid:
    return Invalid(
        f"options.{name}: {message}.",
        slug="bad-option",
        title="This cannot be wished for",
        errors=[{"field": f"options.{name}", "message": message}],
        next_step=next_step,
    )
