"""Provider keys over HTTP. A secret is sealed to the vault the moment it is read, and dropped."""

from __future__ import annotations

from aiohttp import web

from contracts.keys import (
    AddKey,
    DescribeVault,
    KeyList,
    KeyView,
    ListKeys,
    VaultIdentity,
    VerifyKey,
)
from services.edge.asks import ask
from services.edge.bodies import KeyBody
from services.edge.call import Call, plain
from shared.bus import Bus
from shared.ids import fresh
from shared.sealing import seal, submission_info


async def add_one(call: Call) -> web.StreamResponse:
    """Keep a key: 201 with its state, and what to do if the provider did not take it."""
    body = await call.body(KeyBody)
    key = await ask(call.tools.bus, "key_vault", "add", await _sealed(call, body), KeyView)
    return plain(key, status=201, headers={"Location": f"/api/v1/keys/{key.id}"})


async def list_them(call: Call) -> web.StreamResponse:
    """All keys: everything but the key itself."""
    command = ListKeys(workspace=call.workspace)
    return plain(await ask(call.tools.bus, "key_vault", "list", command, KeyList))


async def verify_one(call: Call) -> web.StreamResponse:
    """Ask the provider now whether the key works."""
    command = VerifyKey(workspace=call.workspace, key=call.id("id", "key"), by=call.who.token)
    return plain(await ask(call.tools.bus, "key_vault", "verify", command, KeyView))


async def _sealed(call: Call, body: KeyBody) -> AddKey:
    request = fresh()
    vault = await _vault(call.tools.bus)
    info = submission_info(workspace=call.workspace, request=request, provider=body.provider)
    secret = body.secret.get_secret_value().strip().encode()
    return AddKey(
        workspace=call.workspace,
        request=request,
        provider=body.provider,
        sealed_secret=seal(vault.sealing_key, secret, info),
        region=body.region,
        label=body.label,
        keep_others=body.keep_others,
        by=call.who.token,
        idempotency_key=call.idempotency_key(),
    )


async def _vault(bus: Bus) -> VaultIdentity:
    """Asked each time: keys are added rarely, and a vault that began anew has another."""
    return await ask(bus, "key_vault", "identity", DescribeVault(), VaultIdentity)
