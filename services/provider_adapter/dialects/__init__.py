"""How providers are spoken to: one small file a dialect, pure translation, no loop, no clock, no
retry. Which provider it is never matters here; what its row says does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from contracts.attempts import LiveModel, RunAttempt
from contracts.providers import Dialect, Provider
from services.provider_adapter.answer import Piece
from services.provider_adapter.classify import Verdict
from services.provider_adapter.dialects import anthropic_messages, gemini, ollama, openai_chat
from services.provider_adapter.wire import Frame, Framing


class Speech(Protocol):
    """What a dialect can do."""

    catalog_path: str
    """Where the provider lists its models, below the endpoint."""

    def framing(self) -> Framing:
        """How its streams are cut into frames."""
        ...

    def credentials(self, secret: str) -> dict[str, str]:
        """The headers that carry the key."""
        ...

    def to_wire(self, request: RunAttempt, row: Provider) -> tuple[str, dict[str, str], bytes]:
        """Path, headers and body of the one request. Raises Unsayable."""
        ...

    def from_wire(self, frame: Frame) -> Piece | None:
        """What a frame says, or None if it says nothing. Raises Unreadable."""
        ...

    def from_whole(self, body: bytes) -> Piece:
        """What a reply says that came in one piece though a stream was asked. Raises Unreadable."""
        ...

    def failure(
        self, status: int, headers: Mapping[str, str], body: bytes, row: Provider, *, now: datetime
    ) -> Verdict:
        """Why it did not answer. `headers` by their names in lower case."""
        ...

    def catalog(self, body: bytes) -> list[LiveModel]:
        """The models of its own list. Raises Unreadable."""
        ...


SPEECHES: Mapping[Dialect, Speech] = {
    Dialect.OPENAI_CHAT: openai_chat,
    Dialect.ANTHROPIC_MESSAGES: anthropic_messages,
    Dialect.GEMINI: gemini,
    Dialect.OLLAMA: ollama,
}
"""Which row speaks how."""
