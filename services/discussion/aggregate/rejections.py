"""What a discussion refuses, because it makes no sense as it stands; nothing happened then."""

from __future__ import annotations


class Rejected(Exception):
    """The command makes no sense in this state; nothing happened."""


class AlreadyOpened(Rejected): ...


class NoSuchTurn(Rejected):
    def __init__(self, turn: str) -> None:
        super().__init__(f"there is no turn {turn}")
        self.turn = turn


class NothingToRetry(Rejected):
    """The turn has answered, or is about to."""

    def __init__(self, turn: str, *, completed: bool) -> None:
        super().__init__(f"turn {turn} needs no retry")
        self.turn = turn
        self.completed = completed


class CannotSay(Rejected):
    """Nothing can be said into it just now: its members must not hear anything yet."""


class NothingToPick(Rejected):
    """Only an answer of a comparison can be picked, once it is there."""

    def __init__(self, turn: str, why: str) -> None:
        super().__init__(why)
        self.turn = turn
        self.why = why


class NotDue(Rejected):
    """The turn is running, parked or over: there is nothing to start."""

    def __init__(self, turn: str) -> None:
        super().__init__(f"turn {turn} is not due")
        self.turn = turn
