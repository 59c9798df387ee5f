"""A viewer of a discussion that keeps books: every id, every offset, whatever the line does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp


@dataclass(frozen=True)
class Sent:
    """One event as it came."""

    name: str
    data: Any
    id: str | None
    """None where the frame has no id line."""


async def frames(response: aiohttp.ClientResponse) -> AsyncIterator[Sent | str]:
    """Events; comments, `retry:` and an id by itself as their line."""
    name, data, id = "message", "", None
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        assert "\r" not in line
        if line == "":
            if data:
                yield Sent(name, json.loads(data), id)
            elif id is not None:
                yield f"id: {id}"
            name, data, id = "message", "", None
            continue
        field_, _, value = line.partition(": ")
        match field_:
            case "id":
                id = value
            case "event":
                name = value
            case "data":
                assert not data, "data is one line"
                data = value
            case _:
                yield line


@dataclass(eq=False)
class Reader:
    """What one viewer has seen, over all its connections."""

    address: str
    """Of the events."""
    headers: Mapping[str, str]
    facts: list[Sent] = field(default_factory=list[Sent])
    text: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    """By attempt and kind."""
    ended: Any = None
    connections: int = 0
    said: list[str] = field(default_factory=list[str])
    """Comments and the like."""
    _broken: dict[str, str] = field(default_factory=dict[str, str])
    """By turn: where its last attempt broke off."""

    @property
    def last(self) -> int:
        return len(self.facts)

    def names(self) -> list[str]:
        return [fact.name for fact in self.facts]

    async def follow(self, http: aiohttp.ClientSession, *, leave_after: int | None = None) -> int:
        """Connect once and check everything; leave after some frames. The status of the answer."""
        self.connections += 1
        more = {"Last-Event-ID": str(self.last)} if self.last else {}
        async with http.get(self.address, headers={**self.headers, **more}) as response:
            if response.status != 200:
                return response.status
            assert response.content_type == "text/event-stream"
            seen = 0
            async for sent in frames(response):
                if isinstance(sent, str):
                    self.said.append(sent)
                else:
                    self.see(sent)
                    seen += 1
                if leave_after is not None and seen >= leave_after:
                    response.close()
                    break
            return response.status

    def see(self, sent: Sent) -> None:
        """Take in one event; every rule of the stream is checked here."""
        assert self.ended is None, f"{sent.name} after the end"
        data = sent.data
        if sent.name == "end":
            assert sent.id is None
            self.ended = data
        elif sent.name == "StreamChunk":
            assert sent.id is None
            key = (data["attempt"], data["kind"])
            held = self.text.get(key, "")
            assert data["offset"] == len(held), f"a gap or an overlap: {data}, {len(held)} held"
            assert data["text"], "empty chunks are not for viewers"
            self.text[key] = held + data["text"]
        elif sent.name == "TurnText":
            assert sent.id is None
            for kind in ("text", "reasoning"):
                self.text[data["attempt"], kind] = data.get(kind, "")
        else:
            assert sent.id == str(self.last + 1), f"{sent.id} after {self.last}"
            self.facts.append(sent)
            if sent.name in {"AttemptFailed", "AttemptCut"}:
                self._broken[data["turn"]] = data.get("text", "")
            if sent.name == "AttemptStarted" and data.get("from_char"):
                stands = self._broken[data["turn"]][: data["from_char"]]
                self.text.setdefault((data["attempt"], "text"), stands)
            if sent.name == "TurnCompleted":
                self._check_text(data)

    def _check_text(self, data: Mapping[str, Any]) -> None:
        """The truth begins with what was streamed."""
        held = self.text.get((data["attempt"], "text"), "")
        assert data["text"].startswith(held)

    def completed(self) -> dict[str, str]:
        """Text of each completed turn."""
        return {
            fact.data["turn"]: fact.data["text"]
            for fact in self.facts
            if fact.name == "TurnCompleted"
        }


class Several:
    """One connection that follows several discussions, and comes back as a browser does."""

    def __init__(self, address: str, headers: Mapping[str, str], discussions: list[str]) -> None:
        self.of = {one: Reader("", {}) for one in discussions}
        self.missing: list[str] = []
        self._url = f"{address}?follow={','.join(f'{one}:0' for one in discussions)}"
        self._headers = headers
        self._last = ""

    async def follow(self, http: aiohttp.ClientSession) -> int:
        """Connect once and check everything. The status of the answer."""
        more = {"Last-Event-ID": self._last} if self._last else {}
        async with http.get(self._url, headers={**self._headers, **more}) as response:
            current = ""
            async for sent in frames(response):
                if isinstance(sent, str):
                    if sent.startswith("id: "):
                        self._last = sent.removeprefix("id: ")
                elif sent.name == "discussion":
                    current = sent.data["discussion"]
                elif sent.name == "missing":
                    self.missing.append(current)
                else:
                    self.of[current].see(sent)
            return response.status
