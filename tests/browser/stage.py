"""A stand-in for the edge behind the page: tells what it is told to tell, and counts who asks."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec
from aiohttp import web

from services.edge.frames import CONNECTED, fact_frame, retry_frame
from services.edge.several import of
from services.edge.static import FILES, POLICY
from shared.ids import fresh

PERSONA = {"slug": "ada", "name": "Ada", "title": "who counts", "color": "#336699", "version": 1}
NOW = "2026-01-01T12:00:00Z"


@dataclass(eq=False)
class Told:
    """A discussion as the stage tells it."""

    id: str = field(default_factory=fresh)
    state: str = "running"
    turn: dict[str, Any] = field(default_factory=dict[str, Any])
    facts: list[tuple[str, dict[str, Any]]] = field(
        default_factory=list[tuple[str, dict[str, Any]]]
    )

    def __post_init__(self) -> None:
        about = {"discussion": self.id, "at": NOW, "topic": "Tea?", "mode": "single"}
        who = [{"persona": "ada", "name": "Ada", "model": "kimi/k"}]
        self.facts.append(("DiscussionOpened", {**about, "participants": who}))
        self.facts.append(
            ("TurnScheduled", {"turn": "t", "participant": 0, "persona": "ada", "model": "kimi/k"})
        )

    def view(self) -> dict[str, Any]:
        turn = {
            "id": "t",
            "persona": "ada",
            "name": "Ada",
            "model": "kimi/k",
            "state": self.state,
            "text": "",
            "attempts": 0,
            "usage": {"input_tokens": 0, "output_tokens": 0, "status": "unknown"},
        }
        return {
            "id": self.id,
            "state": self.state,
            "mode": self.facts[0][1]["mode"],
            "title": "Tea?",
            "topic": "Tea?",
            "created_at": NOW,
            "updated_at": NOW,
            "version": len(self.facts),
            "participants": [{"persona": "ada", "name": "Ada", "model": "kimi/k"}],
            "turns": [turn | self.turn],
        }


class Stage:
    """Serves the page's files and what it asks for."""

    def __init__(self) -> None:
        self.discussions: dict[str, Told] = {}
        self.asked: Counter[str] = Counter()
        """Requests by path, files apart."""
        self.most_streams = 0
        """That were open at the same time."""
        self.refusing = 0
        """A status that streams are refused with, if any."""
        self.hanging_up = False
        """Streams are opened and closed at once."""
        self.providers: list[dict[str, Any]] = []
        self.models: list[dict[str, Any]] = []
        self.put: list[tuple[str, Any]] = []
        self.estimate: dict[str, Any] = {"tokens": 3_100, "seconds": 20}
        self.too_dear: dict[str, Any] = {}
        """The refusal that estimates are answered with, if any."""
        self._following: dict[web.StreamResponse, tuple[str, ...]] = {}
        self._broken = asyncio.Event()
        self._runner: web.ServerRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def total(self) -> int:
        """Everything that was asked so far."""
        return self.asked.total()

    @property
    def streams(self) -> int:
        """Those that are open now."""
        return len(self._following)

    def tell_of(self, told: Told) -> Told:
        self.discussions[told.id] = told
        return told

    async def __aenter__(self) -> Self:
        server = web.Server(self._answer, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        self.break_off()
        await self._runner.cleanup()

    async def say(self, told: Told, name: str, data: dict[str, Any]) -> None:
        """One more fact, to whoever follows."""
        told.facts.append((name, data))
        frame = fact_frame(len(told.facts), name, msgspec.json.encode(data))
        for stream, ids in list(self._following.items()):
            if told.id in ids:
                await stream.write((of(told.id) if len(ids) > 1 else b"") + frame)

    def break_off(self) -> None:
        """Every stream breaks."""
        self._broken.set()
        self._broken = asyncio.Event()

    # ----------------------------------------------------------------------------------------

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path == "/" or path.startswith("/pages/"):
            return _file("index.html" if path == "/" else path.removeprefix("/pages/"))
        self.asked[f"{request.method} {path}"] += 1
        if path.endswith("/events"):
            return await self._stream(request)
        if path.startswith("/api/v1/discussions/"):
            told = self.discussions.get(path.rpartition("/")[2])
            return web.json_response(told.view()) if told else web.Response(status=404)
        if path == "/api/v1/estimates" and self.too_dear:
            return web.json_response(self.too_dear, status=402)
        if request.method == "PUT":
            self.put.append((path, await request.json()))
            return web.json_response(self.providers[0])
        answers: dict[str, Any] = {
            "/api/v1/estimates": self.estimate,
            "/api/v1/personas": {"items": [PERSONA]},
            "/api/v1/models": {"items": self.models},
            "/api/v1/providers": {"items": self.providers},
            "/api/v1/session": {"workspace": "default", "role": "owner"},
            "/api/v1/keys": {"items": []},
            "/api/v1/discussions": {"items": []},
        }
        return web.json_response(answers.get(path, {}))

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.refusing:
            return web.Response(status=self.refusing)
        follow = request.query.get("follow", "")
        ids = tuple(part.partition(":")[0] for part in follow.split(",")) if follow else ()
        one = request.path.split("/")[4]
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        stream.force_close()
        await stream.prepare(request)
        await stream.write(CONNECTED + retry_frame(50))
        if self.hanging_up:
            return stream
        self._following[stream] = followed = ids or (one,)
        self.most_streams = max(self.most_streams, self.streams)
        try:
            for id in followed:
                told = self.discussions[id]
                if len(followed) > 1:
                    await stream.write(of(id))
                for version, (name, data) in enumerate(told.facts, 1):
                    await stream.write(fact_frame(version, name, msgspec.json.encode(data)))
            await self._broken.wait()
        finally:
            del self._following[stream]
        return stream


def _file(path: str) -> web.Response:
    file = FILES[path]
    headers = {"Content-Type": file.type, "Content-Security-Policy": POLICY}
    return web.Response(body=file.content, headers=headers)
