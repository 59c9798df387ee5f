"""One look at a provider, free of charge: `GET /models` tells whether the key works and which
models there are; some tell the account's balance, too.
"""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from typing import Final, Literal

import aiohttp
from msgspec import structs

from contracts.attempts import ProbeResult, RunProbe
from contracts.failures import Balance, Evidence, FailureClass, Invalid
from contracts.providers import PROVIDERS, Provider
from services.provider_adapter import classify
from services.provider_adapter.answer import Unreadable
from services.provider_adapter.balance import balance
from services.provider_adapter.dialects import SPEECHES
from services.provider_adapter.keys import Keyring, NoLease
from services.provider_adapter.running import checked_endpoint
from services.provider_adapter.session import Sent, beginning, lower_names

WITHIN: Final = 15.0
"""Seconds for the whole look."""

LARGEST: Final = 8 * 1024 * 1024
"""Bytes of a list of models; OpenRouter's, the longest known, has about one million."""


async def probe(command: RunProbe, session: aiohttp.ClientSession, keys: Keyring) -> ProbeResult:
    """Exactly one request, or none; never a second try."""
    row = PROVIDERS.get(command.provider)
    if row is None:
        raise Invalid(f"There is no provider {command.provider!r}.")
    endpoint = checked_endpoint(command.endpoint)
    secret = ""
    if command.key is not None:
        try:
            secret = await keys.secret(
                command.key,
                workspace=command.workspace,
                request=command.request,
                endpoint=endpoint,
                purpose="probe",
            )
        except NoLease as error:
            return _nothing_sent(str(error), "lease")
    if datetime.now(UTC) >= command.expires_at:
        return _nothing_sent("it had waited too long to be sent", "expired")
    if command.at == "balance" and not row.balance_in(endpoint, os.environ):
        raise Invalid(f"{row.title} does not tell what is left in an account.")
    result = await _look(session, row, endpoint, secret, command.at)
    return structs.replace(result, evidence=classify.without(secret, result.evidence))


async def _look(
    session: aiohttp.ClientSession,
    row: Provider,
    endpoint: str,
    secret: str,
    at: Literal["models", "balance"],
) -> ProbeResult:
    speech = SPEECHES[row.dialect]
    path = row.balance_path if at == "balance" else speech.catalog_path
    headers = {"Accept": "application/json"} | (speech.credentials(secret) if secret else {})
    sent = Sent()
    try:
        async with (
            asyncio.timeout(WITHIN),
            session.get(
                endpoint.rstrip("/") + path,
                headers=headers,
                allow_redirects=False,
                trace_request_ctx=sent,
            ) as response,
        ):
            names = lower_names(response)
            body = await beginning(response, LARGEST)
    except (aiohttp.ClientError, OSError) as error:
        message = classify.clean(f"{type(error).__name__}: {error}")
        return ProbeResult(
            failure=FailureClass.TRANSIENT,
            evidence=Evidence(message=message),
            hint="" if sent.it else "connect",
            sent=sent.it,
        )
    now = datetime.now(UTC)
    if at == "balance":
        told = balance(response.status, names, body, row, now=now)
        if isinstance(told, Balance):
            currency = row.balance_in(endpoint, os.environ)
            return ProbeResult(balance=structs.replace(told, currency=currency))
        return ProbeResult(failure=told.class_, evidence=told.evidence, hint=told.hint)
    if response.status == 200:
        try:
            account = classify.account(row, names)
            return ProbeResult(models=speech.catalog(body), account=account)
        except Unreadable:
            pass  # judged below, like every other answer that is none
    class_, evidence, hint = speech.failure(response.status, names, body, row, now=now)
    return ProbeResult(failure=class_, evidence=evidence, hint=hint, account=evidence.account)


def _nothing_sent(message: str, hint: str) -> ProbeResult:
    return ProbeResult(
        failure=FailureClass.TRANSIENT,
        evidence=Evidence(message=message),
        hint=hint,
        sent=False,
    )
