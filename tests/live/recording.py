"""What a true service has said, written down without anything that tells whose key it was.

Headers pass by a short list; in the body the key, ids of accounts and fields that name people go.
Before a file is written it is looked through once more: what is not clean is not written at all.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from contracts.providers import Provider
from shared.redaction import REDACTED, redact

KEPT = frozenset(
    {
        "content-type", "retry-after", "retry-after-ms", "x-retry-after", "x-should-retry",
        "msh-cooldown-seconds",
    }
)  # fmt: skip
"""Headers that a client reads; every other one may name an account, a session or a machine."""

_LIMITS = "x-ratelimit-"

_WHOSE = re.compile(
    r'("(?:user|user_id|user_name|email|account|account_id|organization|organization_id|org_id'
    r'|project|project_id|team_id|workspace_id|signin_url)"\s*:\s*")(?:[^"\\]|\\.)*(")'
)
"""Fields that say whose account it is, with a text as their value."""

_TUNED = re.compile(r"\bft:[^\"\\\s]+")
"""A fine-tuned model's id has its owner's name in it."""


class NotClean(Exception):
    """Something of the account is still in the recording: it was not written."""


def cleaned_headers(headers: Mapping[str, str], secret: str) -> dict[str, str]:
    """Those that a client reads."""
    kept = {
        name: value
        for name, value in headers.items()
        if name.lower() in KEPT or name.lower().startswith(_LIMITS)
    }
    return {name: _without(value, secret) for name, value in kept.items()}


def cleaned(body: bytes, secret: str) -> bytes:
    """The body without key and account, its frames as they were."""
    text = body.decode("utf-8", "surrogateescape")
    lines = [_without(line, secret) for line in text.splitlines(keepends=True)]
    return "".join(lines).encode("utf-8", "surrogateescape")


def _without(line: str, secret: str) -> str:
    ending = line[len(line.rstrip("\r\n")) :]
    kept = line[: len(line) - len(ending)]
    for form in forms(secret):
        kept = kept.replace(form, REDACTED)
    kept = _WHOSE.sub(rf"\1{REDACTED}\2", kept)
    return redact(_TUNED.sub(f"ft:{REDACTED}", kept)) + ending


def forms(secret: str) -> list[str]:
    """The key as it might be written somewhere."""
    if not secret:
        return []
    raw = secret.encode()
    return [secret, base64.b64encode(raw).decode().rstrip("="), raw.hex()]


@dataclass(frozen=True)
class Recorder:
    """Writes recordings of one provider into a folder, in the form of the other fixtures."""

    folder: Path
    row: Provider
    secret: str = field(repr=False)

    def record(
        self,
        name: str,
        *,
        method: str,
        path: str,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        expect: dict[str, Any],
    ) -> None:
        """One reply and what it means; one of the same name is written over."""
        file = f"{self.row.name}/{name}"
        entry: dict[str, Any] = {
            "file": file,
            "provider": self.row.name,
            "dialect": self.row.dialect.value,
            "method": method,
            "endpoint": path,
            "http_status": status,
            "headers": cleaned_headers(headers, self.secret),
            "confidence": "recorded live",
            "expect": expect,
        }
        kept = cleaned(body, self.secret)
        self._check(kept + json.dumps(entry).encode())
        (self.folder / self.row.name).mkdir(parents=True, exist_ok=True)
        (self.folder / file).write_bytes(kept)
        index = self.folder / "index.json"
        known: list[dict[str, Any]] = []
        if index.exists():
            known = cast("list[dict[str, Any]]", json.loads(index.read_bytes())["fixtures"])
        others = [each for each in known if each["file"] != file]
        document = {"fixtures": sorted([*others, entry], key=lambda each: str(each["file"]))}
        index.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")

    def _check(self, written: bytes) -> None:
        text = written.decode("utf-8", "replace")
        if any(form in text for form in forms(self.secret)):
            raise NotClean("The key is in the recording; nothing was written.")
