"""`parley ask`: put a question to one or several personas and watch the answers being written."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from contracts.discussion import TurnView
from local.api import Api
from local.logbook import harmless
from local.telling import Watching
from local.viewing import Discussion, Turn, in_words

_NARROWEST = 30
"""Characters a column needs to be readable."""
_STYLES = ("cyan", "magenta", "green", "yellow", "blue", "bright_red")


@dataclass(frozen=True)
class Question:
    """What is asked, of whom, on which model."""

    topic: str
    personas: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    temperature: float | None = None
    budget: str = ""
    """USD that it may cost at most; empty: no bound of its own."""

    def body(self) -> dict[str, Any]:
        """As `POST /api/v1/discussions` takes it."""
        personas: Sequence[str | None] = self.personas or (() if self.models else (_DEFAULT,))
        pairs = [
            {name: value for name, value in (("persona", persona), ("model", model)) if value}
            for persona in personas or (None,)
            for model in self.models or (None,)
        ]
        mode = "single" if len(pairs) == 1 else "parallel"
        told = {"temperature": self.temperature, "budget": self.budget or None}
        options = {name: value for name, value in told.items() if value is not None}
        return {"topic": self.topic, "mode": mode, "participants": pairs, "options": options}


_DEFAULT = "riley-engstrom"


class _View(Protocol):
    def tell(self, told: RenderableType) -> None: ...
    def show(self, discussion: Discussion) -> None: ...
    def close(self, discussion: Discussion) -> None: ...


class _Whole(msgspec.Struct, frozen=True):
    turns: list[TurnView]
    state: str


async def ask(api: Api, question: Question, console: Console) -> int:
    """Ask and watch until the end. Answers the exit status: 0 when at least one answer came."""
    body = question.body()
    opened = await api.post("/api/v1/discussions", body)
    name = str(opened["id"])
    if words := in_words(opened.get("estimate")):
        _tell(words)
    watching = Watching(answers=False)
    discussion = watching.discussion
    view = _view(console, len(body["participants"]))
    try:
        async for sent in api.events(name):
            for told in watching.see(sent):
                view.tell(told)
            view.show(discussion)
            if discussion.parked:
                break
        if not discussion.parked and not discussion.ended:
            raw = msgspec.json.encode(await api.get(f"/api/v1/discussions/{name}"))
            whole = msgspec.json.decode(raw, type=_Whole)
            discussion.adopt(whole.turns, whole.state)
    except asyncio.CancelledError:
        _tell(f"No longer watching; the answer is still being written: discussion {name}")
        raise
    finally:
        view.close(discussion)
    return _verdict(discussion, name)


def _verdict(discussion: Discussion, name: str) -> int:
    for turn in discussion.turns.values():
        for remark in turn.remarks:
            _tell(f"{turn.persona}: {remark}")
        if turn.failure is not None and turn.state in {"failed", "parked"}:
            failure = turn.failure
            _tell(f"{turn.persona}: {failure.title}. {failure.detail}\n{failure.next_step}")
    if discussion.state == "completed":
        return 0
    if discussion.parked:
        _tell(f"The question is kept and goes on by itself once that is mended: discussion {name}")
        return 2
    _tell(f"The discussion {name} is {discussion.state}.")
    return 1


def _tell(text: str) -> None:
    print(harmless(text), file=sys.stderr)  # noqa: T201 - answers go to stdout, remarks here


def _view(console: Console, participants: int) -> _View:
    if participants > 1 and console.is_terminal and console.width // participants >= _NARROWEST:
        return _Columns(console, participants)
    return _Running(console) if participants == 1 else _OneByOne(console)


class _Running:
    """One answer after the other: its text as it comes, and nothing but that to be piped on."""

    def __init__(self, console: Console) -> None:
        self._out = console.file
        self._aside = Console(stderr=True)
        self._turn = ""
        self._shown = ""
        self._done: set[str] = set()

    def tell(self, told: RenderableType) -> None:
        self._aside.print(told)

    def show(self, discussion: Discussion) -> None:
        for turn in discussion.turns.values():
            if turn.id in self._done:
                continue
            if turn.id != self._turn:
                self._write("\n\n" if self._shown else "")
                self._turn, self._shown = turn.id, ""
            self._go_on(turn)
            if not turn.settled:
                return  # who comes next is shown when this one has ended
            self._done.add(turn.id)

    def _go_on(self, turn: Turn) -> None:
        if turn.text.startswith(self._shown):
            self._write(harmless(turn.text[len(self._shown) :]))
        elif not self._shown.startswith(turn.text) or turn.state == "completed":
            self._write(f"\n\n[{turn.note or 'corrected'}]\n\n{harmless(turn.text)}")
        else:
            return
        self._shown = turn.text

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()

    def close(self, discussion: Discussion) -> None:
        self.show(discussion)
        if self._shown:
            self._write("\n")


class _OneByOne:
    """Several answers where there is no room for columns: each one when it is complete."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._done: set[str] = set()

    def tell(self, told: RenderableType) -> None:
        self._console.print(told)
        self._write("\n")

    def show(self, discussion: Discussion) -> None:
        for turn in discussion.turns.values():
            if turn.settled and turn.id not in self._done:
                self._done.add(turn.id)
                self._write(f"## {turn.persona} ({turn.model})\n\n{harmless(turn.text)}\n\n")

    def _write(self, text: str) -> None:
        self._console.file.write(text)
        self._console.file.flush()

    def close(self, discussion: Discussion) -> None:
        self.show(discussion)


class _Columns:
    """Several answers side by side, live, and below them those to what people said further; at the
    end they stay on the screen, whole.
    """

    def __init__(self, console: Console, many: int) -> None:
        self._console = console
        self._many = many
        self._live = Live(console=console, refresh_per_second=12, transient=True)
        self._live.start()

    def tell(self, told: RenderableType) -> None:
        self._live.console.print(told)

    def show(self, discussion: Discussion) -> None:
        self._live.update(self._table(discussion, self._console.height - 4))

    def close(self, discussion: Discussion) -> None:
        self._live.stop()
        self._console.print(self._table(discussion, None))

    def _table(self, discussion: Discussion, height: int | None) -> RenderableType:
        turns = list(discussion.turns.values())
        rows = [turns[at : at + self._many] for at in range(0, len(turns), self._many)]
        table = Table.grid(expand=True, padding=(0, 1))
        for _ in range(self._many):
            table.add_column(ratio=1)
        width = self._console.width // self._many - 6
        each = None if height is None else max(height // max(len(rows), 1), 4)
        for row in rows:
            styled = zip(row, itertools.cycle(_STYLES))
            table.add_row(*(_panel(turn, style, width, each) for turn, style in styled))
        return table


def _panel(turn: Turn, style: str, width: int, height: int | None) -> Panel:
    text = harmless(turn.text)
    if height is not None:
        text = _last_lines(text, width, height - 2)
    words: list[RenderableType] = [Text(text)]
    if note := _note(turn):
        words.append(Text(note, style="dim italic"))
    return Panel(
        Group(*words), title=turn.persona, subtitle=turn.model, border_style=style, height=height
    )


def _last_lines(text: str, width: int, lines: int) -> str:
    """What fits: the end of it, since that is where something happens."""
    console = Console(width=width)
    wrapped = Text(text).wrap(console, width)
    return "\n".join(line.plain for line in wrapped[-max(lines, 1) :])


def _note(turn: Turn) -> str:
    if turn.note:
        return turn.note
    if turn.failure is not None:
        return f"{turn.failure.title}. {turn.failure.next_step}"
    if turn.state == "running" and not turn.text:
        return "thinking …" if turn.thinking else "…"
    return ""
