"""The recorded replies of providers, for every test that plays or reads them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from contracts.providers import PROVIDERS, Dialect, Provider
from services.provider_adapter.dialects import SPEECHES, Speech

FOLDER = Path(__file__).parent / "fixtures" / "providers"
LIVE = Path(__file__).parent / "fixtures" / "live"
"""What `make test/live` has recorded, if anything has."""

_ROWS = {"moonshot": "kimi", "misc": "kimi", "llamacpp": "local"}
"""Who recorded it → whose row it is read with, where the two differ."""


@dataclass(frozen=True)
class Recorded:
    """One reply: what came over the wire, and what it means."""

    file: str
    status: int
    headers: dict[str, str]
    expect: dict[str, Any]
    path: str
    sidecar: str | None
    folder: Path = FOLDER
    spoken: Dialect | None = None
    """The dialect, where the recording itself says."""

    @cached_property
    def body(self) -> bytes:
        return (self.folder / self.file).read_bytes()

    @property
    def live(self) -> bool:
        """Recorded from the true service."""
        return self.folder != FOLDER

    @property
    def provider(self) -> str:
        return self.file.partition("/")[0]

    @property
    def row(self) -> Provider:
        return PROVIDERS[_ROWS.get(self.provider, self.provider)]

    @property
    def dialect(self) -> Dialect:
        """As it was spoken to: several providers have more than one surface."""
        if self.spoken is not None:
            return self.spoken
        if "/messages" in self.path or self.provider == "anthropic":
            return Dialect.ANTHROPIC_MESSAGES
        if "/v1beta/models" in self.path:
            return Dialect.GEMINI
        return Dialect.OLLAMA if "/api/chat" in self.path else Dialect.OPENAI_CHAT

    @property
    def speech(self) -> Speech:
        return SPEECHES[self.dialect]

    @property
    def lower_headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    @property
    def splits(self) -> list[int]:
        """Where the recorded connection split the bytes."""
        if self.sidecar is None:
            return []
        return json.loads((self.folder / self.sidecar).read_bytes()).get("split_offsets", [])

    def __str__(self) -> str:
        return f"live/{self.file}" if self.live else self.file


def _read(entry: dict[str, Any], folder: Path) -> Recorded:
    spoken = entry.get("dialect") if folder != FOLDER else None
    return Recorded(
        file=entry["file"],
        status=entry["http_status"],
        headers=entry["headers"],
        expect=entry["expect"],
        path=entry["endpoint"],
        sidecar=entry.get("sidecar"),
        folder=folder,
        spoken=Dialect(spoken) if spoken else None,
    )


def recordings(folder: Path) -> list[Recorded]:
    """All that lie in the folder."""
    index = folder / "index.json"
    if not index.exists():
        return []
    return [_read(entry, folder) for entry in json.loads(index.read_bytes())["fixtures"]]


ALL = [*recordings(FOLDER), *recordings(LIVE)]
BY_FILE = {str(recorded): recorded for recorded in ALL}
CATALOGS = [recorded for recorded in ALL if "ids" in recorded.expect]
BALANCES = [recorded for recorded in ALL if recorded.path.endswith("/balance")]
REFUSALS = [
    recorded for recorded in ALL if "error_class" in recorded.expect and recorded not in BALANCES
]
ANSWERS = [recorded for recorded in ALL if "end" in recorded.expect]
