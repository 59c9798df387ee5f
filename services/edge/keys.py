"""Provider keys over HTTP. A secret is sealed to the vault the moment it is read, and dropped."""

from __future__ import annotations

from aiohttp import web
from pydantic import SecretStr

from contracts.keys import (
    AddKey,
    DescribeVault,
    DisableKey,
    EnableKey,
    GetKey,
    KeyList,
    KeyView,
    ListKeys,
    PruneKeys,
    RevokeKey,
    RotateKey,
    VaultIdentity,
    VerifyKey,
)
from services.edge.asks import ask
from services.edge.bodies import KeyBody, PruneBody, RotateBody
from services.edge.call import Call, plain
from shared.bus import Bus
from shared.ids import fresh
from shared.sealing import rotation_info, seal, submission_info


async def add_one(call: Call) -> web.StreamResponse:
    """Keep a key: 201 with its state, and what to do if the provider did not take it."""
    body = await call.body(KeyBody)
    key = await ask(call.tools.bus, "key_vault", "add", await _sealed(call, body), KeyView)
    return plain(key, status=201, headers={"Location": f"/api/v1/keys/{key.id}"})


async def list_them(call: Call) -> web.StreamResponse:
    """All keys: everything but the key itself."""
    command = ListKeys(workspace=call.workspace)
    return plain(await ask(call.tools.bus, "key_vault", "list", command, KeyList))


async def read_one(call: Call) -> web.StreamResponse:
    """One key: everything but the key itself."""
    command = GetKey(workspace=call.workspace, key=call.id("id", "key"))
    return plain(await ask(call.tools.bus, "key_vault", "get", command, KeyView))


async def verify_one(call: Call) -> web.StreamResponse:
    """Ask the provider now whether the key works."""
    command = VerifyKey(workspace=call.workspace, key=call.id("id", "key"), by=call.who.token)
    return plain(await ask(call.tools.bus, "key_vault", "verify", command, KeyView))


async def rotate_one(call: Call) -> web.StreamResponse:
    """Replace the key's secret, if the provider takes the new one."""
    body = await call.body(RotateBody)
    key, request = call.id("id", "key"), fresh()
    vault = await _vault(call.tools.bus)
    info = rotation_info(workspace=call.workspace, request=request, key=key)
    command = RotateKey(
        workspace=call.workspace,
        request=request,
        key=key,
        sealed_secret=seal(vault.sealing_key, _stripped(body.secret), info),
        by=call.who.token,
    )
    return plain(await ask(call.tools.bus, "key_vault", "rotate", command, KeyView))


async def disable_one(call: Call) -> web.StreamResponse:
    """Take the key out of use, until it is enabled."""
    command = DisableKey(workspace=call.workspace, key=call.id("id", "key"), by=call.who.token)
    return plain(await ask(call.tools.bus, "key_vault", "disable", command, KeyView))


async def enable_one(call: Call) -> web.StreamResponse:
    """Verify the key and take it into use again."""
    command = EnableKey(workspace=call.workspace, key=call.id("id", "key"), by=call.who.token)
    return plain(await ask(call.tools.bus, "key_vault", "enable", command, KeyView))


async def revoke_one(call: Call) -> web.StreamResponse:
    """Never use the key again, and destroy its secret."""
    command = RevokeKey(workspace=call.workspace, key=call.id("id", "key"), by=call.who.token)
    return plain(await ask(call.tools.bus, "key_vault", "revoke", command, KeyView))


async def prune_them(call: Call) -> web.StreamResponse:
    """Take refused, replaced and revoked keys off the list; answers which."""
    body = await call.body(PruneBody)
    command = PruneKeys(workspace=call.workspace, provider=body.provider, by=call.who.token)
    return plain(await ask(call.tools.bus, "key_vault", "prune", command, KeyList))


async def _sealed(call: Call, body: KeyBody) -> AddKey:
    request = fresh()
    vault = await _vault(call.tools.bus)
    info = submission_info(workspace=call.workspace, request=request, provider=body.provider)
    return AddKey(
        workspace=call.workspace,
        request=request,
        provider=body.provider,
        sealed_secret=seal(vault.sealing_key, _stripped(body.secret), info),
        region=body.region,
        label=body.label,
        keep_others=body.keep_others,
        pool=body.pool,
        by=call.who.token,
        idempotency_key=call.idempotency_key(),
    )


def _stripped(secret: SecretStr) -> bytes:
    return secret.get_secret_value().strip().encode()


async def _vault(bus: Bus) -> VaultIdentity:
    """Asked each time: keys are added rarely, and a vault that began anew has another."""
    return await ask(bus, "key_vault", "identity", DescribeVault(), VaultIdentity)
