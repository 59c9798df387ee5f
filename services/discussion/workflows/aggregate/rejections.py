"""What a run refuses, because it makes no sense as it stands; nothing happened then."""

from __future__ import annotations


class Rejected(Exception):
    """The command makes no sense in this state; nothing happened."""


class AlreadyStarted(Rejected): ...


class NotReady(Rejected):
    """The step has begun already, or waits for another: look again."""

    def __init__(self, step: str) -> None:
        super().__init__(f"step {step} cannot begin now")
        self.step = step


class NoSuchStep(Rejected):
    def __init__(self, step: str) -> None:
        super().__init__(f"there is no step {step}")
        self.step = step


class NobodyIsAsked(Rejected):
    """There is nothing to choose at this step, now."""

    def __init__(self, step: str, *, chosen: int | None) -> None:
        super().__init__(f"nothing is to be chosen at step {step}")
        self.step = step
        self.chosen = chosen


class NoSuchCandidate(Rejected):
    def __init__(self, step: str, candidate: int, among: tuple[int, ...]) -> None:
        super().__init__(f"step {step} has no candidate {candidate} to choose")
        self.step = step
        self.candidate = candidate
        self.among = among
