"""One look at a provider, free of charge: its list of models tells whether the key works and which
models there are; some tell the account's balance, too.
"""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from typing import Final, Literal

import aiohttp
from msgspec import structs

from contracts.addresses import BadAddress
from contracts.attempts import ProbeResult, RunProbe
from contracts.failures import Balance, Evidence, FailureClass, Invalid
from contracts.providers import Provider
from services.provider_adapter import classify
from services.provider_adapter.answer import Unreadable
from services.provider_adapter.balance import balance
from services.provider_adapter.dialects import SPEECHES
from services.provider_adapter.keys import Keyring, NoLease
from services.provider_adapter.running import checked_endpoint, row_for
from services.provider_adapter.session import Sent, beginning, lower_names
from services.provider_adapter.ways import HINT, Ways, not_allowed
from shared.redaction import REDACTOR

WITHIN: Final = 15.0
"""Seconds for the whole look."""

LARGEST: Final = 8 * 1024 * 1024
"""Bytes of a list of models; OpenRouter's, the longest known, has about one million."""


async def probe(command: RunProbe, ways: Ways, keys: Keyring) -> ProbeResult:
    """Exactly one request, or none; never a second try."""
    row = row_for(command)
    endpoint = checked_endpoint(command.endpoint)
    try:
        session = ways.to(endpoint, command.custom)
    except BadAddress as error:
        return _not_allowed(not_allowed(error))
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
    with REDACTOR.knowing(secret):
        return await _look(session, row, endpoint, secret, command.at)


async def _look(
    session: aiohttp.ClientSession,
    row: Provider,
    endpoint: str,
    secret: str,
    at: Literal["models", "balance"],
) -> ProbeResult:
    speech = SPEECHES[row.dialect]
    path = row.balance_path if at == "balance" else row.catalog_path or speech.catalog_path
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
        if why := not_allowed(error):
            return _not_allowed(why)
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


def _not_allowed(why: str) -> ProbeResult:
    return ProbeResult(
        failure=FailureClass.REQUEST,
        evidence=Evidence(message=classify.clean(why)),
        hint=HINT,
        sent=False,
    )


def _nothing_sent(message: str, hint: str) -> ProbeResult:
    return ProbeResult(
        failure=FailureClass.TRANSIENT,
        evidence=Evidence(message=message),
        hint=hint,
        sent=False,
    )
