"""What a provider's own log tells of a storm: how many asked, when, and how often at most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request that reached the provider."""

    at: float
    """Seconds, by the provider's clock."""
    chat: bool
    """It asked for an answer; else it looked at the list of models."""
    status: int = 0


def requests(log: Iterable[Mapping[str, Any]]) -> list[Request]:
    """The provider's log (`GET /log` of local.scripted), in the order of time."""
    found = [
        Request(float(entry["at"]), entry["path"] == "/v1/chat/completions", int(entry["status"]))
        for entry in log
    ]
    return sorted(found, key=lambda request: request.at)


def busiest(times: Sequence[float], span: float = MINUTE) -> int:
    """The most that fell into any stretch of `span` seconds; `times` are in order."""
    most = begin = 0
    for end, at in enumerate(times):
        while times[begin] <= at - span:
            begin += 1
        most = max(most, end - begin + 1)
    return most


@dataclass(frozen=True, kw_only=True)
class Run:
    """One contestant in one fault. All times in seconds of the story, 0 is its beginning."""

    who: str
    fault: str
    broke: float
    mended: float
    ended: float
    asked: int
    """Discussions."""
    requests: list[Request] = field(default_factory=list[Request])
    done: list[float] = field(default_factory=list[float])
    """When each discussion had its answer."""

    def in_fault(self) -> int:
        """Requests while the provider was broken."""
        return sum(self.broke <= request.at < self.mended for request in self.requests)

    def peak(self) -> int:
        """The most in any minute."""
        return busiest([request.at for request in self.requests])

    def a_second(self, bucket: float) -> list[float]:
        """Requests a second, averaged over stretches of `bucket` seconds."""
        counts = [0] * (int(self.ended / bucket) + 1)
        for request in self.requests:
            counts[min(max(int(request.at / bucket), 0), len(counts) - 1)] += 1
        return [count / bucket for count in counts]


HEAD = ("fault", "who", "requests", "in the fault", "most a minute", "answered", "the last after")


def row(run: Run) -> tuple[str, ...]:
    """One line of the table."""
    all_done = len(run.done) == run.asked
    return (
        run.fault,
        run.who,
        f"{len(run.requests):,}",
        f"{run.in_fault():,}",
        f"{run.peak():,}",
        f"{len(run.done)} of {run.asked}",
        f"{max(run.done) - run.broke:.0f} s" if all_done else "never",
    )


def table(runs: Iterable[Run]) -> str:
    """All of it, as Markdown that reads well in a terminal too."""
    rows = [HEAD, *(row(run) for run in runs)]
    widths = [max(len(each[column]) for each in rows) for column in range(len(HEAD))]
    lines = [
        "| " + " | ".join(_aligned(cell, widths[at], at) for at, cell in enumerate(each)) + " |"
        for each in rows
    ]
    rule = "|" + "|".join(_rule(width, at) for at, width in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column < 2 else cell.rjust(width)


def _rule(width: int, column: int) -> str:
    return "-" * (width + 2) if column < 2 else "-" * (width + 1) + ":"
