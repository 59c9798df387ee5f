"""A key in the clear is nowhere."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import nats
import pytest
import pytest_asyncio

from contracts.attempts import ProbeResult
from contracts.failures import Invalid
from contracts.keys import AddKey, KeyLease, KeyList, KeyState, KeyView, LeaseKey, ListKeys
from contracts.subjects import command_subject
from contracts.supply import ProbeKey
from shared import topology
from shared.bus import Bus, Verb
from shared.sealing import RecipientKey, seal, submission_info
from tests.databases import Database
from tests.eventually import eventually
from tests.nats_server import NatsServer
from tests.strongroom import GOOD, OTHER, SECRET, SOON
from tests.vaults import environment_of, running_vault


@pytest_asyncio.fixture
async def open_server(tmp_path: Path) -> AsyncGenerator[NatsServer]:
    """One where everybody hears everything."""
    server = NatsServer(tmp_path / "nats", open_to_all=True)
    await server.start()
    await topology.ensure(server.url, None)
    yield server
    await server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


async def test_a_key_in_the_clear_is_nowhere(
    database: Database, open_server: NatsServer, tmp_path: Path
) -> None:
    heard: list[bytes] = []

    async def hear(message: Any) -> None:
        heard.append(message.data + repr(message.headers).encode())

    spy = await nats.connect(open_server.url)  # pyright: ignore[reportUnknownMemberType]
    await spy.subscribe(">", cb=hear)  # pyright: ignore[reportUnknownMemberType]
    asked: list[ProbeKey] = []

    async def probe(question: ProbeKey) -> ProbeResult:
        asked.append(question)
        return GOOD

    discussion = await Bus.connect(open_server.url, service="discussion", seed_file=None)
    await discussion.serve("discussion", [Verb("probe", ProbeKey, probe)])
    edge = await Bus.connect(open_server.url, service="edge", seed_file=None)
    line = json.dumps({"keys": {"kimi": SECRET}}).encode() + b"\n"
    dsn = database.dsn("key_vault")
    async with running_vault(dsn, open_server.url, tmp_path, line) as vault:
        known = await vault.ready(edge)

        async def adopted() -> bool:
            return await state_of(edge, "kimi") == {KeyState.ACTIVE}

        await eventually(adopted, within=timedelta(seconds=30))
        info = submission_info(workspace="default", request="r1", provider="kimi")
        wish = AddKey(
            workspace="default",
            request="r1",
            provider="kimi",
            sealed_secret=seal(known.sealing_key, OTHER.encode(), info),
        )
        added = await edge.request(command_subject("key_vault", "add"), wish, KeyView, within=SOON)
        me = RecipientKey.generate()
        await edge.request(
            command_subject("key_vault", "lease"),
            LeaseKey(
                workspace="default",
                request="a1",
                key=added.id,
                version=1,
                endpoint=added.endpoint,
                recipient=me.public,
                purpose="attempt",
            ),
            KeyLease,
            within=SOON,
        )
        # A refusal quotes nothing of what it refuses.
        broken = seal(known.sealing_key, OTHER.encode() + b" \x00", info)
        with pytest.raises(Invalid):
            await edge.request(
                command_subject("key_vault", "add"),
                AddKey(workspace="default", request="r1", provider="kimi", sealed_secret=broken),
                KeyView,
                within=SOON,
            )

        async def told() -> bool:
            return any(b"key_disabled" in message for message in heard)

        await eventually(told)
        process = vault.folder
        seen = {
            "environment": environment_of(process),
            "command line": (process / "cmdline").read_bytes(),
            "limits": (process / "limits").read_bytes(),
        }
    assert vault.process.returncode == 0, vault.log.read_text()
    await asyncio.gather(edge.drain(), discussion.drain(), spy.close())
    seen |= {
        "bus": b"\n".join(heard),
        "log": vault.log.read_bytes(),
        "database": await everything_in(dsn),
        "streams": b"".join(
            path.read_bytes() for path in open_server.folder.rglob("*") if path.is_file()
        ),
    }
    assert len(heard) > 10
    assert len(asked) == 2
    assert b"Max core file size        0                    0" in seen["limits"]
    token = (tmp_path / "owner-token").read_text().strip()
    for place, content in seen.items():
        for canary in (SECRET, OTHER, token):
            for form in forms_of(canary):
                assert form not in content, f"{canary[:6]}… in {place}"


async def state_of(edge: Bus, provider: str) -> set[KeyState]:
    keys = await edge.request(
        command_subject("key_vault", "list"),
        ListKeys(workspace="default", provider=provider),
        KeyList,
        within=SOON,
    )
    return {key.state for key in keys.items}


async def everything_in(dsn: str) -> bytes:
    """Each row of each table, as text; bytes appear in hex."""
    conn = await asyncpg.connect(dsn)
    try:
        tables = await conn.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
            " WHERE schemaname = 'key_vault'"
        )
        rows = [
            row["row"]
            for table in tables
            for row in await conn.fetch(f"SELECT t::text AS row FROM {table['name']} t")
        ]
    finally:
        await conn.close()
    assert len(tables) > 10
    assert rows
    return "\n".join(rows).encode()


def forms_of(secret: str) -> list[bytes]:
    raw = secret.encode()
    return [raw, raw.hex().encode(), base64.b64encode(raw).rstrip(b"=")[:-1]]
