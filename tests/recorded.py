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

    @cached_property
    def body(self) -> bytes:
        return (FOLDER / self.file).read_bytes()

    @property
    def provider(self) -> str:
        return self.file.partition("/")[0]

    @property
    def row(self) -> Provider:
        return PROVIDERS[_ROWS.get(self.provider, self.provider)]

    @property
    def dialect(self) -> Dialect:
        """As it was spoken to: several providers have more than one surface."""
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
        return json.loads((FOLDER / self.sidecar).read_bytes()).get("split_offsets", [])

    def __str__(self) -> str:
        return self.file


def _read(entry: dict[str, Any]) -> Recorded:
    return Recorded(
        file=entry["file"],
        status=entry["http_status"],
        headers=entry["headers"],
        expect=entry["expect"],
        path=entry["endpoint"],
        sidecar=entry.get("sidecar"),
    )


ALL = [_read(entry) for entry in json.loads((FOLDER / "index.json").read_bytes())["fixtures"]]
BY_FILE = {recorded.file: recorded for recorded in ALL}
CATALOGS = [recorded for recorded in ALL if "ids" in recorded.expect]
BALANCES = [recorded for recorded in ALL if recorded.path.endswith("/balance")]
REFUSALS = [
    recorded for recorded in ALL if "error_class" in recorded.expect and recorded not in BALANCES
]
ANSWERS = [recorded for recorded in ALL if "end" in recorded.expect]
