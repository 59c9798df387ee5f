"""What a provider has said so far: pieces join to texts, and keep their places.

Dialects turn frames into pieces; an answer collects them, whatever the dialect. What was not
published yet can be taken as chunks, each with the place of its first character.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import msgspec
from msgspec import Struct, structs

from contracts.stream import ChunkKind, Usage
from services.provider_adapter.seam import Seam

_LOST = "\N{REPLACEMENT CHARACTER}"


class Unreadable(Exception):
    """What came means nothing in the provider's dialect."""


class Told(Struct, frozen=True, kw_only=True):
    """A provider's own words about an error, in whatever shape they came."""

    type: str = ""
    code: str = ""
    message: str = ""
    wait: float | None = None
    """Seconds, where a field of the error says so."""
    daily: bool = False
    """It is a quota of the day."""


class Piece(Struct, kw_only=True, gc=False):
    """What one frame says."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: list[dict[str, Any]] | None = None
    finish_reason: str = ""
    usage: Usage | None = None
    model: str = ""
    error: Told | None = None
    last: bool = False
    """The provider says that nothing follows."""
    ragged: bool = False
    """Its texts may hold halves of surrogate pairs."""
    signature: str = ""
    """The provider's seal on the thinking, which it wants to see again with a tool call."""


class Unsent(NamedTuple):
    """A stretch of the answer that has not been published yet."""

    kind: ChunkKind
    offset: int
    text: str


class ToolCall(Struct):
    """One call, put together from its deltas."""

    id: str = ""
    type: str = ""
    name: str = ""
    arguments: str = ""
    extra: dict[str, Any] | None = None
    """What the provider wants back with the call."""

    def plain(self) -> dict[str, Any]:
        """The whole call in OpenAI's form; what goes beyond it, as Google's compatible surface."""
        function = {"name": self.name, "arguments": self.arguments}
        call: dict[str, Any] = {"id": self.id, "type": self.type or "function"}
        call["function"] = function
        return call | ({"extra_content": self.extra} if self.extra else {})


def _latest(said: Usage, before: Usage | None) -> Usage:
    """The last one wins, and they are never added up; what it leaves out was said before.

    Anthropic counts the input at the start and may count only the output at the end.
    """
    if before is None:
        return said
    cached = before.cached_tokens if said.cached_tokens is None else said.cached_tokens
    return structs.replace(
        said, input_tokens=said.input_tokens or before.input_tokens, cached_tokens=cached
    )


class Answer:
    """Everything heard of one attempt."""

    def __init__(self, prefix: str = "") -> None:
        """`prefix`: how it begins, said by an attempt before this one."""
        self._prefix = prefix
        self._seam = Seam(prefix) if prefix else None
        self._finish = ""
        self._signature = ""
        self.usage: Usage | None = None
        self.model = ""
        self.refusal = ""
        self.spoken = False
        """Some text, thought or tool call has come: the attempt is committed."""
        self._texts: list[str] = [prefix] if prefix else []
        self._thoughts: list[str] = []
        self._calls: dict[int, ToolCall] = {}
        self._said_calls: list[Unsent] = []
        self._length = dict.fromkeys(ChunkKind, 0) | {ChunkKind.TEXT: len(prefix)}
        self._pending: list[tuple[ChunkKind, list[str]]] = []
        self._pending_calls: list[dict[str, Any]] = []
        self._halves: dict[ChunkKind, str] = {}

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @property
    def reasoning(self) -> str:
        return "".join(self._thoughts)

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        calls = [call.plain() for _, call in sorted(self._calls.items())]
        if calls and self._signature:
            calls[0].setdefault("extra_content", {})["thinking_signature"] = self._signature
        return calls

    @property
    def finish_reason(self) -> str:
        """In the common terms. Gemini and Ollama stop to call tools and say only that they stop."""
        return "tool_calls" if self._calls and self._finish == "stop" else self._finish

    @property
    def size(self) -> int:
        """Characters heard."""
        return sum(self._length.values()) + sum(
            len(part) for _, parts in self._pending for part in parts
        )

    def length(self, kind: ChunkKind) -> int:
        """Characters of this kind that were taken for publishing."""
        return self._length[kind]

    def take(self, piece: Piece) -> bool:
        """Add a piece. True if it brought the answer on."""
        text, reasoning = piece.text, piece.reasoning
        if piece.ragged or self._halves:
            text = self._mended(ChunkKind.TEXT, text)
            reasoning = self._mended(ChunkKind.REASONING, reasoning)
        if reasoning:
            self._add(ChunkKind.REASONING, reasoning)
            self._thoughts.append(reasoning)
        if text and (new := text if self._seam is None else self._seam.take(text)):
            self._say(new)
        if piece.tool_calls:
            self._pending_calls.extend(map(self._call, piece.tool_calls))
        if text or reasoning or piece.tool_calls:
            self.spoken = True
        self.refusal += piece.refusal
        self.model = self.model or piece.model
        self._finish = piece.finish_reason or self._finish
        self._signature += piece.signature
        if piece.usage is not None:
            self.usage = _latest(piece.usage, self.usage)
        return bool(text or reasoning or piece.tool_calls or piece.refusal or piece.finish_reason)

    def close(self) -> None:
        """Nothing follows: half a character that waited for its other half is lost."""
        if self._seam is not None and (held := self._seam.close()):
            self._say(held)
        for kind in list(self._halves):
            del self._halves[kind]
            self._add(kind, _LOST)
            (self._texts if kind is ChunkKind.TEXT else self._thoughts).append(_LOST)

    def unsent(self) -> list[Unsent]:
        """What is new since the last call, in order, one stretch per change of kind."""
        stretches: list[Unsent] = []
        for kind, parts in self._pending:
            text = parts[0] if len(parts) == 1 else "".join(parts)
            stretches.append(Unsent(kind, self._length[kind], text))
            self._length[kind] += len(text)
        self._pending.clear()
        if self._pending_calls:
            text = msgspec.json.encode(self._pending_calls).decode()
            stretch = Unsent(ChunkKind.TOOL_CALL, self._length[ChunkKind.TOOL_CALL], text)
            self._said_calls.append(stretch)
            stretches.append(stretch)
            self._length[ChunkKind.TOOL_CALL] += len(text)
            self._pending_calls.clear()
        return stretches

    def again(self) -> list[Unsent]:
        """Everything taken so far, once more from the start: for a broker that lost its memory."""
        thoughts, text = self.reasoning, self.text
        said = (
            Unsent(ChunkKind.REASONING, 0, thoughts[: self._length[ChunkKind.REASONING]]),
            Unsent(ChunkKind.TEXT, 0, text[: self._length[ChunkKind.TEXT]]),
        )
        return [*(stretch for stretch in said if stretch.text), *self._said_calls]

    @property
    def new(self) -> str:
        """The text that was heard of this attempt itself."""
        return self.text[len(self._prefix) :]

    def _say(self, text: str) -> None:
        self._add(ChunkKind.TEXT, text)
        self._texts.append(text)

    def _add(self, kind: ChunkKind, text: str) -> None:
        if self._pending and self._pending[-1][0] is kind:
            self._pending[-1][1].append(text)
        else:
            self._pending.append((kind, [text]))

    def _call(self, delta: dict[str, Any]) -> dict[str, Any]:
        """Put a delta where it belongs: by its index; without one, a new id begins a new call.

        Returned in the form that OpenAI's clients read: numbered from 0, arguments as text.
        """
        name_of = delta.get("id")
        id_ = name_of if isinstance(name_of, str) else ""
        index = delta.get("index")
        if not isinstance(index, int):
            last = max(self._calls, default=-1)
            begins = last < 0 or (id_ != "" and id_ != self._calls[last].id)
            index = last + 1 if begins else last
        call = self._calls.setdefault(index, ToolCall())
        call.id = call.id or id_
        if isinstance(kind := delta.get("type"), str):
            call.type = call.type or kind
        if isinstance(extra := delta.get("extra_content"), dict):
            call.extra = cast(dict[str, Any], extra)
        function: Any = delta.get("function")
        if isinstance(function, dict):
            said = cast(dict[str, Any], function)
            name, arguments = said.get("name"), said.get("arguments")
            if isinstance(name, str):
                call.name = call.name or name
            if isinstance(arguments, str):
                call.arguments += arguments
            elif arguments is not None:  # some servers send the object itself
                call.arguments = msgspec.json.encode(arguments).decode()
                function = {**said, "arguments": call.arguments}
        form = {**delta, "index": list(self._calls).index(index)}
        return form | ({"function": function} if "function" in delta else {})

    def _mended(self, kind: ChunkKind, text: str) -> str:
        r"""Halves of one character, sent as `\ud83d` and `\ude80` in two deltas, made one again."""
        text = self._halves.pop(kind, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._halves[kind] = text[-1]
            text = text[:-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
