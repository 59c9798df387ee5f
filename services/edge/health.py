"""Whether Parley works: this process, all five services, and the numbers behind it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from ipaddress import ip_address

from aiohttp import web
from msgspec import Struct
from prometheus_client import generate_latest

from contracts.failures import Forbidden, TimedOut, Unreachable
from contracts.keys import Role
from contracts.subjects import SERVICES
from services.edge.call import Call, plain
from shared.bus import Bus

WITHIN = timedelta(seconds=2)


class HealthAnswer(Struct, frozen=True):
    """This process runs."""

    status: str


class ReadyAnswer(Struct, frozen=True):
    """Whether every service answers."""

    status: str
    services: dict[str, str]
    """Per service `ready` or `silent`."""


class _Ping(Struct):
    """NATS's own question to a service (ADR-32)."""


class _Pong(Struct):
    name: str


async def healthz(_: Call) -> web.StreamResponse:
    """This process runs and answers."""
    return plain(HealthAnswer(status="ok"))


async def readyz(call: Call) -> web.StreamResponse:
    """200 when all five services answer, otherwise 503 and who does not."""
    answers = await asyncio.gather(*(_answers(call.tools.bus, name) for name in SERVICES))
    services = {
        name: "ready" if ready else "silent" for name, ready in zip(SERVICES, answers, strict=True)
    }
    ready = all(answers) and not call.tools.hubs.stopping
    return plain(
        ReadyAnswer(status="ready" if ready else "not ready", services=services),
        status=200 if ready else 503,
    )


async def _answers(bus: Bus, service: str) -> bool:
    try:
        await bus.request(f"$SRV.PING.{service}", _Ping(), _Pong, within=WITHIN)
    except (Unreachable, TimedOut):
        return False
    return True


async def metrics(call: Call) -> web.StreamResponse:
    """Numbers for Prometheus: for this machine, or with an administrator's token."""
    if not _from_here(call.request):
        identity = await call.tools.doorkeeper.identify(call.request)
        if identity.role not in {Role.OWNER, Role.ADMIN}:
            raise Forbidden(
                "From elsewhere, the metrics are for owners and admins only.",
                next_step="Ask from this machine, or with the token of an owner or admin.",
            )
    return web.Response(
        body=generate_latest(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    )


def _from_here(request: web.BaseRequest) -> bool:
    """A request from this machine, that no proxy has passed on."""
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        return ip_address(request.remote or "").is_loopback
    except ValueError:
        return False
