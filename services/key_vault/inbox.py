"""What the vault is asked, and what it answers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from contracts.failures import Conflict, Invalid
from contracts.ids import BadToken, token
from contracts.keys import (
    AddKey,
    DescribeVault,
    Done,
    Identity,
    Introspect,
    KeyLease,
    KeyList,
    KeyState,
    KeyView,
    LeaseKey,
    ListKeys,
    ReportKey,
    VaultIdentity,
    VerifyKey,
)
from contracts.providers import PROVIDERS
from services.key_vault import lending, tokens
from services.key_vault.aggregate import Accepted, Add, AlreadyHere, Report
from services.key_vault.explanations import denied
from services.key_vault.store import Once, Store
from services.key_vault.submission import (
    cleaned,
    endpoint_of,
    provider_named,
    region_by_form,
    region_named,
)
from services.key_vault.verification import Verification
from shared.bus import Verb
from shared.ids import fresh
from shared.redaction import REDACTOR
from shared.sealing import CannotOpen, submission_info


class Inbox:
    """One method for each verb of contracts.subjects."""

    def __init__(self, store: Store, verification: Verification) -> None:
        self._store = store
        self._verification = verification

    def verbs(self) -> Sequence[Verb[Any]]:
        return (
            Verb("identity", DescribeVault, self.identity),
            Verb("add", AddKey, self.add),
            Verb("list", ListKeys, self.list),
            Verb("verify", VerifyKey, self.verify),
            Verb("lease", LeaseKey, self.lease),
            Verb("report", ReportKey, self.report),
            Verb("introspect", Introspect, self.introspect),
        )

    async def identity(self, _: DescribeVault) -> VaultIdentity:
        return self._store.identity.public

    async def list(self, wish: ListKeys) -> KeyList:
        return KeyList(await self._store.keys(wish.workspace, wish.provider))

    async def verify(self, wish: VerifyKey) -> KeyView:
        return await self._verification.verify(wish.workspace, wish.key)

    async def lease(self, wish: LeaseKey) -> KeyLease:
        return await lending.lend(self._store, wish)

    async def introspect(self, wish: Introspect) -> Identity:
        return await tokens.introspect(self._store, wish.token_hash)

    # --- A new key --------------------------------------------------------------------------

    async def add(self, wish: AddKey) -> KeyView:
        """Keep it, then verify it: whatever comes of that, the key is kept and the answer says."""
        row = provider_named(wish.provider)
        region = region_named(row, wish.region)
        _check_workspace(wish.workspace)
        pasted = self._open(wish)
        with REDACTOR.knowing(pasted.decode(errors="replace")):
            clean = cleaned(pasted)
            command = Add(
                key=fresh(),
                region=region.name,
                endpoint=endpoint_of(region, os.environ),
                fingerprint=self._store.identity.fingerprint(clean.secret),
                label=wish.label,
                by=wish.by,
                keep_others=wish.keep_others,
            )
            key = await self._keep(wish, command, clean.secret)
        view = await self._store.key(wish.workspace, key)
        if view.state is KeyState.PENDING:
            view = await self._verification.verify(wish.workspace, key)
        return replace(view, reason=f"{clean.note} {view.reason}".strip())

    def _open(self, wish: AddKey) -> bytes:
        info = submission_info(
            workspace=wish.workspace, request=wish.request, provider=wish.provider
        )
        try:
            return self._store.identity.recipient.open(wish.sealed_secret, info)
        except CannotOpen as error:
            raise Invalid(
                "The secret was not sealed for this vault and this request.",
                next_step="Try again: the vault may have been set up anew meanwhile.",
                slug="not-sealed-for-us",
            ) from error

    async def _keep(self, wish: AddKey, command: Add, secret: str) -> str:
        once = None
        if wish.idempotency_key:
            # Sealing is different each time, so what was sealed is compared.
            body = self._store.identity.mac(
                "add", command.region, wish.label, str(wish.keep_others), secret
            )
            name = f"add {wish.workspace} {wish.provider} {wish.idempotency_key}"
            once = Once(name, body)
        try:
            return await self._store.add(wish.workspace, wish.provider, command, secret, once)
        except AlreadyHere as error:
            there = await self._store.key(wish.workspace, error.key)
            name = f" (“{there.label}”)" if there.label else ""
            raise Conflict(
                f"This key is here already, as {there.id}{name}; it is {there.state}. "
                f"{there.reason}".strip(),
                next_step=there.next_step or "Nothing needs to be done.",
                slug="key-already-here",
            ) from error

    # --- What a provider said of a key in use -----------------------------------------------

    async def report(self, wish: ReportKey) -> Done:
        key = await self._store.key(wish.workspace, wish.key)
        if key.version != wish.version:
            return Done()  # what was said of an earlier version says nothing of this one
        row = PROVIDERS[key.provider]
        verdict = Accepted()
        if not wish.accepted:
            form = region_by_form(row, await self._store.secret(key, wish.workspace))
            verdict = denied(row, key, wish.evidence, wish.hint, form)
        command = Report(key=wish.key, version=wish.version, attempt=wish.attempt, verdict=verdict)
        await self._store.change(wish.workspace, key.provider, command)
        return Done()


def _check_workspace(name: str) -> None:
    try:
        token(name)
    except BadToken as error:
        raise Invalid(str(error), slug="bad-workspace") from error
