"""The recorded replies of providers, for every test that plays or reads them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "fixtures" / "providers"


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
REFUSALS = [recorded for recorded in ALL if "error_class" in recorded.expect]
ANSWERS = [recorded for recorded in ALL if "end" in recorded.expect]
