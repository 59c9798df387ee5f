"""The server: `GET /v1/models`, `GET /v1/users/me/balance`, `POST /v1/chat/completions`, and
`GET /log` of what was asked.

What it does is decided, in this order, by the outage (`PUT /outage`: a behaviour for everything
that is asked, until `DELETE /outage`), the account's limits, the key (`sk-wrong-key…` and the other
names of script.py), the model (`scripted-cut`), the prompt (`[[stall]]`), the script (`PUT
/script`); else it answers.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from uuid import uuid4

from local.scripted import replies
from local.scripted.http import Answering, Request, read_request
from local.scripted.meter import Meter
from local.scripted.performance import Performance
from local.scripted.script import (
    NAMED,
    BadScript,
    Behaviour,
    Script,
    behaviour,
    by_name,
    inline,
)


@dataclass(slots=True)
class Asked:
    """One request, as `GET /log` shows it. Never the key itself."""

    number: int
    at: float
    """Unix time."""
    method: str
    path: str
    model: str = ""
    key: str = ""
    """The first letters of its SHA-256."""
    body: dict[str, Any] = field(default_factory=dict[str, Any])
    status: int = 0
    ended: str = ""
    """How: `done`, `cut`, `client left`…; empty while it runs."""
    seconds: float = 0.0
    bill: dict[str, int | bool] | None = None
    """What it is charged, and whether the client was told; None: nothing."""


class ScriptedProvider:
    """Speaks Moonshot's dialect on loopback while it is entered."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        script: str = "",
        rate: float = 0,
        keys: Iterable[str] | None = None,
        fixtures: Path | None = None,
        meter: Meter | None = None,
        echoes: bool = False,
    ) -> None:
        self.requests: list[Asked] = []
        """Everything that was asked of the provider, in order."""
        self.meter = meter or Meter()
        self.outage: Behaviour | None = None
        """What is done to everybody, whatever they ask; None: there is none."""
        self.script = Script(script)
        self.rate = rate
        """Words a second; 0 is as fast as possible."""
        self.keys = None if keys is None else set(keys)
        """The keys that are good; None: every one."""
        self.balance = 49.58894
        """What is left in everybody's account."""
        self.models: list[dict[str, Any]] = list(replies.MODELS)
        """What its list has in it."""
        self.echoes = echoes
        """Says the key back, in its headers and in every refusal."""
        self._host = host
        self._port = port
        self._fixtures = fixtures
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """Address in the provider's own form, for `KIMI_BASE_URL`."""
        return f"http://{self._host}:{self._port}/v1"

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(
            self._connected, self._host, self._port, limit=8 << 20, backlog=1024
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more; break what runs."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def forever(self) -> None:
        """Serve until cancelled."""
        assert self._server is not None, "start it first"
        await self._server.serve_forever()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.stop()

    # --- Connections ------------------------------------------------------------------------

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing() and (request := await read_request(reader)) is not None:
                if not await self._answer(request, Answering(reader, writer)):
                    break
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _answer(self, request: Request, answering: Answering) -> bool:
        """False: the connection is not to be used again."""
        match request.method, request.path:
            case "GET", "/log":
                await answering.json(200, [asdict(asked) for asked in self.requests])
            case "DELETE", "/log":
                self.requests.clear()
                self.meter.forget()
                await answering.json(200, {})
            case "DELETE", "/outage":
                self.outage = None
                await answering.json(200, {})
            case "PUT", "/script" | "/outage":
                return await self._told(request, answering)
            case _:
                return await self._asked(request, answering)
        return True

    async def _told(self, request: Request, answering: Answering) -> bool:
        told = request.body.decode()
        try:
            if request.path == "/outage":
                self.outage = behaviour(told)
            else:
                self.script = Script(told)
        except BadScript as error:
            await answering.json(422, replies.error("bad_script", str(error)))
        else:
            await answering.json(200, {})
        return True

    async def _asked(self, request: Request, answering: Answering) -> bool:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        asked = Asked(
            number=len(self.requests) + 1,
            at=time.time(),
            method=request.method,
            path=request.path,
            key=hashlib.sha256(key.encode()).hexdigest()[:8] if key else "",
            body=_json(request.body),
        )
        asked.model = str(asked.body.get("model", ""))
        self.requests.append(asked)
        began = time.monotonic()
        refused = behaviour(self.meter.count(began))
        self.meter.running += 1
        echo = replies.Echo(key) if self.echoes and key else None
        answering.more = echo.headers if echo else {}
        performance = Performance(
            asked.body, answering, rate=self.rate, fixtures=self._fixtures, echo=echo
        )
        try:
            if steps := self.outage or refused:
                asked.ended = await performance.run(steps)
            else:
                asked.ended = await self._perform(performance, request, asked, key, answering)
        except ConnectionError:
            asked.ended = "client left"
        except BadScript as error:
            asked.ended = str(error)
            await answering.json(400, replies.error("invalid_request_error", str(error)))
        finally:
            self.meter.running -= 1
            asked.status = answering.status
            asked.bill = performance.bill()
            asked.seconds = round(time.monotonic() - began, 3)
        return asked.ended == "done"

    async def _perform(
        self,
        performance: Performance,
        request: Request,
        asked: Asked,
        key: str,
        answering: Answering,
    ) -> str:
        identity = {"Msh_Request_Id": str(uuid4())}
        good = bool(key) if self.keys is None else key in self.keys
        chats = (request.method, request.path) == ("POST", "/v1/chat/completions")
        if (of_key := _of_key(key)) is not None:
            return await performance.run(of_key)
        if not good:
            return await performance.run(by_name("wrong-key") or ())
        if chats:
            if (steps := self._behaviour(asked)) is not None:
                return await performance.run(steps)
            return await performance.default()
        if (request.method, request.path) == ("GET", "/v1/models"):
            await answering.json(200, {"object": "list", "data": self.models}, **identity)
        elif (request.method, request.path) == ("GET", "/v1/users/me/balance"):
            await answering.json(200, replies.balance(self.balance), **identity)
        else:
            nowhere = {
                "code": 5,
                "error": "url.not_found",
                "message": "没找到对象",
                "method": request.method,
                "scode": "0x5",
                "status": False,
                "url": request.path,
            }
            await answering.json(404, nowhere, **identity)
        return "done"

    def _behaviour(self, asked: Asked) -> Behaviour | None:
        return (
            by_name(asked.model.removeprefix("scripted-"))
            or inline(replies.prompt_of(asked.body))
            or self.script.take()
        )


def _of_key(key: str) -> Behaviour | None:
    """The behaviour that a key is named after."""
    names = [name for name in NAMED if key.startswith(f"sk-{name}")]
    return by_name(max(names, key=len)) if names else None


def _json(body: bytes) -> dict[str, Any]:
    try:
        document: Any = json.loads(body) if body else {}
    except ValueError:
        return {}
    return cast(dict[str, Any], document) if isinstance(document, dict) else {}
