"""Answering requests: the verbs of a service, found and counted by NATS's own tools.

It speaks the NATS services API (ADR-32), so `nats micro ls`, `info`, `stats` and `ping` show every
service. The documents are nats-py's; the answering is ours, since nats-py 2.16 sends the text of
an exception to whoever asked, answers one request at a time, and knows no endpoint that every
replica hears.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

import msgspec
import structlog
from nats.aio.subscription import Subscription as NatsSubscription
from nats.micro.request import ERROR_CODE_HEADER, ERROR_HEADER
from nats.micro.service import EndpointInfo, EndpointStats, ServiceInfo, ServicePing, ServiceStats

from contracts.failures import Internal, MalformedRequest, Refused, Unavailable
from contracts.subjects import command_subject
from shared import trace
from shared.connection import Connection
from shared.message import Message, write_headers

log = structlog.stdlib.get_logger("bus")

VERSION: Final = "1.0.0"
QUEUE: Final = "q"
"""The queue group that the services API uses for all."""

AT_ONCE: Final = 256
"""Requests that one process works on at the same time; more are asked to come again."""

C = TypeVar("C")

_json: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Verb(Generic[C]):
    """One request that is answered here: `handler` gets the command and returns the answer."""

    name: str
    command: type[C]
    handler: Callable[[C], Awaitable[msgspec.Struct | None]]
    everyone: bool = False
    """Each replica hears it, not just one of them."""


@dataclass(slots=True)
class _Endpoint:
    verb: Verb[Any]
    subject: str
    queue: str
    decoder: msgspec.json.Decoder[Any]
    requests: int = 0
    errors: int = 0
    nanoseconds: int = 0
    last_error: str = ""
    """Its kind only: an exception's text may hold what people said."""

    def info(self) -> EndpointInfo:
        """For `INFO`."""
        command = getattr(self.verb.command, "__name__", "")
        return EndpointInfo(self.verb.name, self.subject, self.queue, {"command": command})

    def stats(self) -> EndpointStats:
        """For `STATS`."""
        return EndpointStats(
            self.verb.name,
            self.subject,
            self.queue,
            self.requests,
            self.errors,
            self.nanoseconds,
            self.nanoseconds // self.requests if self.requests else 0,
            self.last_error or None,
        )


@dataclass(slots=True)
class Answering:
    """A service that answers, until it is told to stop."""

    connection: Connection
    name: str
    passing: tuple[type[Exception], ...] = ()
    """Exceptions that say that something else is away, e.g. the database's."""
    id: str = field(default_factory=lambda: secrets.token_hex(11))
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    _endpoints: list[_Endpoint] = field(default_factory=list[_Endpoint])
    _subscriptions: list[NatsSubscription] = field(default_factory=list[NatsSubscription])
    _working: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    async def start(self, verbs: Sequence[Verb[Any]]) -> None:
        """Hear the verbs; then be found, since a ping means that the service is ready."""
        for verb in verbs:
            await self._add(verb)
        for verb, document in (("PING", self._ping), ("INFO", self._info), ("STATS", self._stats)):
            for subject in (f"$SRV.{verb}", f"$SRV.{verb}.{self.name}"):
                await self._discovered_by(subject, document)
            await self._discovered_by(f"$SRV.{verb}.{self.name}.{self.id}", document)

    async def stop(self) -> None:
        """Take no more requests, finish those that were taken."""
        for subscription in self._subscriptions:
            await self.connection.forget(subscription)
        self._subscriptions.clear()
        while self._working:
            await asyncio.wait(self._working)

    # --- Requests ---------------------------------------------------------------------------

    async def _add(self, verb: Verb[Any]) -> None:
        endpoint = _Endpoint(
            verb=verb,
            subject=command_subject(self.name, verb.name),
            queue="" if verb.everyone else QUEUE,
            decoder=msgspec.json.Decoder(verb.command),
        )

        def heard(message: Message) -> None:
            endpoint.requests += 1
            if len(self._working) >= AT_ONCE:
                endpoint.errors += 1
                self._refuse(message, Unavailable("Too much at once.", retry_after=1.0))
                return
            task = asyncio.create_task(self._answer(endpoint, message))
            self._working.add(task)
            task.add_done_callback(self._working.discard)

        self._endpoints.append(endpoint)
        self._subscriptions.append(
            await self.connection.listen(endpoint.subject, heard, endpoint.queue)
        )

    async def _answer(self, endpoint: _Endpoint, message: Message) -> None:
        began = time.perf_counter_ns()
        with trace.following(message.headers):
            try:
                self._reply(message, await self._answer_to(endpoint, message))
            except Refused as refused:
                self._count_error(endpoint, refused)
                self._refuse(message, refused)
            except self.passing as error:
                self._count_error(endpoint, error)
                log.warning("cannot answer now", subject=message.subject, why=type(error).__name__)
                self._refuse(message, _away())
            except Exception as error:
                # Whatever it was, who asked is told so, and not what an exception may say.
                self._count_error(endpoint, error)
                incident = secrets.token_hex(6)
                log.exception("could not answer", subject=message.subject, incident=incident)
                self._refuse(
                    message,
                    Internal("Look for the incident in the log of the service.", incident=incident),
                )
            finally:
                endpoint.nanoseconds += time.perf_counter_ns() - began

    async def _answer_to(self, endpoint: _Endpoint, message: Message) -> bytes:
        try:
            command = endpoint.decoder.decode(message.data)
        except msgspec.DecodeError as error:
            # msgspec names the field and the type it wanted, never the value.
            raise MalformedRequest(str(error)) from error
        answer = await endpoint.verb.handler(command)
        payload = _json.encode(answer)
        if len(payload) > self.connection.client.max_payload:
            raise Internal("The answer is too large to be sent.", slug="answer-too-large")
        return payload

    def _reply(self, message: Message, payload: bytes, headers: bytes = b"") -> None:
        if message.reply:
            self.connection.client.put(message.reply, payload, headers=headers)

    def _refuse(self, message: Message, refused: Refused) -> None:
        problem = refused.problem
        headers = write_headers(
            {ERROR_HEADER: problem.type, ERROR_CODE_HEADER: str(problem.status)}
        )
        self._reply(message, _json.encode(problem), headers)

    def _count_error(self, endpoint: _Endpoint, error: Exception) -> None:
        endpoint.errors += 1
        endpoint.last_error = type(error).__name__

    # --- Being found (ADR-32) ---------------------------------------------------------------

    async def _discovered_by(self, subject: str, document: Callable[[], dict[str, Any]]) -> None:
        def heard(message: Message) -> None:
            self._reply(message, json.dumps(document()).encode())

        self._subscriptions.append(await self.connection.listen(subject, heard))

    def _ping(self) -> dict[str, Any]:
        return ServicePing(self.id, self.name, VERSION).to_dict()

    def _info(self) -> dict[str, Any]:
        endpoints = [endpoint.info() for endpoint in self._endpoints]
        return ServiceInfo(
            self.name, self.id, VERSION, f"Parley's {self.name}", endpoints
        ).to_dict()

    def _stats(self) -> dict[str, Any]:
        endpoints = [endpoint.stats() for endpoint in self._endpoints]
        return ServiceStats(self.name, self.id, VERSION, self.started, endpoints).to_dict()


def _away() -> Unavailable:
    return Unavailable(
        "What this is kept in does not answer just now.",
        # It may have gone away in the very moment in which it had kept it.
        next_step="Try again in a few seconds; whatever makes something new, under the same "
        "Idempotency-Key.",
        retry_after=2.0,
    )
