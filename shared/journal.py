"""The journal of a service: its events, in order, for ever, in PostgreSQL.

Words (what people and models said) are kept apart, so that they can be forgotten while the
structure stays; loading puts them back. The rest of the promise is in `journal.sql`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import asyncpg
import msgspec

from contracts.event import Event, EventFamily, name_of, tag_of
from contracts.subjects import event_subject
from shared import trace
from shared.database import Connection, queries
from shared.ids import fresh

E = TypeVar("E", bound=Event)

SCHEMA = Path(__file__).with_name("journal.sql")
"""For `migrate`, before the service's own files."""

META = ("correlation", "causation", "by", "traceparent")
"""What `meta` may say: the conversation an event belongs to, the event that led to it, who caused
it, and the trace (W3C Trace Context). Correlation and trace are those of the thread that we are on
(shared.trace) unless given."""

_SQL = queries(Path(__file__).with_name("journal_queries.sql"))
_WRONG_VERSION = "PV001"


class WrongVersion(Exception):
    """Somebody else has appended to the stream in between: load it again, then decide again."""

    def __init__(self, stream: str, expected: int) -> None:
        super().__init__(f"stream {stream} is not at version {expected}")
        self.stream = stream
        self.expected = expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded(Generic[E]):
    """An event and its place in the journal."""

    event: E
    id: str
    stream: str
    version: int
    """1 for the stream's first event, no gaps."""
    position: int
    """Its place among all events of the service; gaps are possible, and never filled later."""
    recorded_at: datetime
    meta: Mapping[str, str]


class Journal(Generic[E]):
    """Reads and writes one service's events. Every method works in the caller's transaction."""

    def __init__(self, family: EventFamily[E]) -> None:
        self._family = family

    async def append(
        self,
        conn: Connection,
        stream: str,
        expected: int,
        events: Sequence[E],
        *,
        workspace: str,
        meta: Mapping[str, str] | None = None,
    ) -> list[Recorded[E]]:
        """Write the events after version `expected` of the stream; 0 begins it.

        WrongVersion: the stream is elsewhere. Append late in the transaction: until its end all
        other appends of the service wait.
        """
        if not events:
            return []
        meta = _thread() | dict(meta or {})
        assert meta.keys() <= set(META), f"meta may say {META}"
        ids = [fresh() for _ in events]
        split = [_without_words(event) for event in events]
        service = self._family.service
        try:
            rows = await conn.fetch(
                _SQL["append"],
                stream,
                expected,
                msgspec.json.encode(meta),
                ids,
                [tag_of(event) for event in events],
                [event_subject(workspace, service, stream, name_of(event)) for event in events],
                [data for data, _ in split],
                [words for _, words in split],
            )
        except asyncpg.PostgresError as error:
            if error.sqlstate == _WRONG_VERSION:
                raise WrongVersion(stream, expected) from error
            raise
        return [
            Recorded(
                event=event,
                id=name,
                stream=stream,
                version=row["version"],
                position=row["position"],
                recorded_at=row["recorded_at"],
                meta=meta,
            )
            for event, name, row in zip(events, ids, rows, strict=True)
        ]

    async def load(self, conn: Connection, stream: str, *, after: int = 0) -> list[Recorded[E]]:
        """The stream's events after a version, in order, in today's form."""
        rows = await conn.fetch(_SQL["load"], stream, after)
        return [self._recorded(row) for row in rows]

    async def read_all(self, conn: Connection, *, after: int, limit: int) -> list[Recorded[E]]:
        """The service's events after a position, in order. Nothing appears before it later."""
        rows = await conn.fetch(_SQL["read_all"], after, limit)
        return [self._recorded(row) for row in rows]

    async def forget_words(self, conn: Connection, stream: str) -> int:
        """Delete the stream's words for good, keep its structure; answers how many events spoke."""
        status = await conn.execute(_SQL["forget_words"], stream)
        return int(status.removeprefix("DELETE "))

    def _recorded(self, row: asyncpg.Record) -> Recorded[E]:
        return Recorded(
            event=self._family.decode(inlined(row["data"], row["words"])),
            id=str(row["id"]),
            stream=row["stream"],
            version=row["version"],
            position=row["position"],
            recorded_at=row["recorded_at"],
            meta=_decode_meta(row["meta"]),
        )


def _thread() -> dict[str, str]:
    if not (correlation := trace.correlation()):
        return {}
    parent = trace.outgoing().get(trace.TRACEPARENT)
    return {"correlation": correlation} | ({"traceparent": parent} if parent else {})


# --- words ----------------------------------------------------------------------------------

_decode_meta = msgspec.json.Decoder(dict[str, str]).decode


def inlined(data: bytes, words: bytes | None) -> bytes:
    """The event's JSON with its words, or without the forgotten ones.

    Both are objects with something in them, as `_without_words` wrote them.
    """
    return data if words is None else data[:-1] + b"," + words[1:]


def _without_words(event: Event) -> tuple[bytes, bytes | None]:
    """The event's JSON in two parts: structure, and words if there are any."""
    spoken = [
        name
        for attribute, name, default in _words(type(event))
        if getattr(event, attribute) != default
    ]
    if not spoken:
        return msgspec.json.encode(event), None
    document: dict[str, Any] = msgspec.to_builtins(event, str_keys=True)
    words = {name: document.pop(name) for name in spoken}
    return msgspec.json.encode(document), msgspec.json.encode(words)


@cache
def _words(cls: type[Event]) -> list[tuple[str, str, Any]]:
    """Attribute, name in JSON, and default of each field that holds words."""
    fields = {field.name: field for field in msgspec.structs.fields(cls)}
    found: list[tuple[str, str, Any]] = []
    for name in cls.WORDS:
        field = fields[name]
        assert not field.required, f"{cls.__name__}.{name} holds words, so it needs a default"
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        found.append((name, field.encode_name, default))
    return found
