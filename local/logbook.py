"""What every process prints: all of it in files, what matters to a person on the terminal."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from logging import LogRecord
from logging.handlers import RotatingFileHandler
from pathlib import Path

from rich.console import Console
from rich.text import Text

from local.children import OnLine

_FILE_SIZE = 10 << 20
_FILES_KEPT = 3
_COLOURS = ("cyan", "green", "yellow", "blue", "magenta", "bright_cyan", "bright_green", "red")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

Shown = Callable[[str], bool]


def harmless(text: str) -> str:
    """Without control characters: what a model or a stranger wrote must not steer a terminal."""
    return _CONTROL.sub("", text)


class Logbook:
    """One file per process, and the terminal, where each line tells whose it is."""

    def __init__(self, folder: Path, console: Console) -> None:
        self._folder = folder
        self._console = console
        self._colours: dict[str, str] = {}
        self._launcher = self.of("launcher", shown=lambda _: False)

    def of(self, name: str, *, shown: Shown = lambda _: True) -> OnLine:
        """Where a process's lines go; `shown` picks those for the terminal."""
        file = RotatingFileHandler(
            self._folder / f"{name}.log",
            maxBytes=_FILE_SIZE,
            backupCount=_FILES_KEPT,
            encoding="utf-8",
            delay=True,
        )
        self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])

        def write(line: str) -> None:
            file.emit(LogRecord(name, 20, "", 0, line, None, None))
            if shown(line):
                self._show(name, line)

        return write

    def say(self, line: str, style: str = "bold") -> None:
        """The launcher's own words."""
        self.keep(line)
        for part in line.splitlines():
            self._print(Text(f"{'parley':>16} │ ", style="dim") + Text(harmless(part), style=style))

    def keep(self, text: str) -> None:
        """Into the launcher's file only."""
        stamp = datetime.now().astimezone().isoformat(timespec="seconds")
        self._launcher(f"{stamp} {text.rstrip()}")

    def show(self, text: str) -> None:
        """On the terminal only, as it is: for what no file should keep."""
        self._print(Text(text))

    def _show(self, name: str, line: str) -> None:
        prefix = Text(f"{name:>16} │ ", style=self._colours[name])
        self._print(prefix + Text(harmless(line)))

    def _print(self, text: Text) -> None:
        try:
            self._console.print(text, soft_wrap=True, highlight=False)
        except OSError:  # nobody reads any more: the files do
            self._console.quiet = True


def postgres_matters(line: str) -> bool:
    """Its everyday remarks stay in the file, and so do refusals while it is starting."""
    kind, _, said = line.partition(":")
    return kind in {"WARNING", "ERROR", "FATAL", "PANIC"} and "starting up" not in said


def nats_matters(line: str) -> bool:
    """Warnings and worse."""
    return any(level in line for level in ("[WRN]", "[ERR]", "[FTL]"))
