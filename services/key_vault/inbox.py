"""What the vault is asked, and what it answers."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog
from msgspec.structs import replace

from contracts.failures import Conflict, Invalid, NotFound
from contracts.ids import BadToken, token
from contracts.keys import (
    AUTO,
    AddEndpoint,
    AddKey,
    ChangeEndpoint,
    DescribeVault,
    DisableKey,
    Done,
    EnableKey,
    EndpointList,
    EndpointView,
    GetKey,
    Identity,
    Introspect,
    IssueToken,
    KeyLease,
    KeyList,
    KeyState,
    KeyView,
    LeaseKey,
    ListEndpoints,
    ListKeys,
    ListTokens,
    PruneKeys,
    RemoveEndpoint,
    ReportKey,
    RevokeKey,
    RevokeToken,
    Rewrapped,
    RewrapVault,
    RotateKey,
    TokenList,
    TokenView,
    VaultIdentity,
    VerifyKey,
)
from services.key_vault import addressbook, lending, tokens, trial
from services.key_vault.aggregate import (
    Accepted,
    Add,
    AlreadyHere,
    Command,
    Disable,
    Enable,
    Judge,
    NoSuchKey,
    NotAsItIs,
    Prune,
    Recognise,
    Report,
    Revoke,
)
from services.key_vault.explanations import denied
from services.key_vault.keks import CannotAdd
from services.key_vault.rewrapping import rewrap, rewrapped
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
from shared.sealing import CannotOpen, Info, rotation_info, submission_info

log = structlog.stdlib.get_logger("inbox")


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
            Verb("get", GetKey, self.get),
            Verb("verify", VerifyKey, self.verify),
            Verb("rotate", RotateKey, self.rotate),
            Verb("disable", DisableKey, self.disable),
            Verb("enable", EnableKey, self.enable),
            Verb("revoke", RevokeKey, self.revoke),
            Verb("prune", PruneKeys, self.prune),
            Verb("rewrap", RewrapVault, self.rewrap),
            Verb("lease", LeaseKey, self.lease),
            Verb("report", ReportKey, self.report),
            Verb("introspect", Introspect, self.introspect),
            Verb("issue_token", IssueToken, self.issue_token),
            Verb("list_tokens", ListTokens, self.list_tokens),
            Verb("revoke_token", RevokeToken, self.revoke_token),
            Verb("add_endpoint", AddEndpoint, self.add_endpoint),
            Verb("change_endpoint", ChangeEndpoint, self.change_endpoint),
            Verb("remove_endpoint", RemoveEndpoint, self.remove_endpoint),
            Verb("list_endpoints", ListEndpoints, self.list_endpoints),
        )

    async def identity(self, _: DescribeVault) -> VaultIdentity:
        return self._store.identity.public

    async def list(self, wish: ListKeys) -> KeyList:
        return KeyList(await self._store.keys(wish.workspace, wish.provider))

    async def get(self, wish: GetKey) -> KeyView:
        return await self._store.key(wish.workspace, wish.key)

    async def verify(self, wish: VerifyKey) -> KeyView:
        return await self._verification.verify(wish.workspace, wish.key, thoroughly=True)

    async def lease(self, wish: LeaseKey) -> KeyLease:
        return await lending.lend(self._store, wish)

    async def introspect(self, wish: Introspect) -> Identity:
        return await tokens.introspect(self._store, wish.token_hash)

    async def issue_token(self, wish: IssueToken) -> TokenView:
        return await tokens.grant(self._store, wish)

    async def list_tokens(self, wish: ListTokens) -> TokenList:
        return TokenList(await tokens.of_workspace(self._store, wish.workspace))

    async def revoke_token(self, wish: RevokeToken) -> Done:
        await tokens.revoke(self._store, wish)
        return Done()

    # --- Endpoints beside the built-in providers --------------------------------------------

    async def add_endpoint(self, wish: AddEndpoint) -> EndpointView:
        _check_workspace(wish.workspace)
        return await addressbook.add(self._store, wish)

    async def change_endpoint(self, wish: ChangeEndpoint) -> EndpointView:
        return await addressbook.change(self._store, wish)

    async def remove_endpoint(self, wish: RemoveEndpoint) -> Done:
        await addressbook.remove(self._store, wish)
        return Done()

    async def list_endpoints(self, wish: ListEndpoints) -> EndpointList:
        return EndpointList(await addressbook.listed(self._store, wish.workspace))

    # --- A new key --------------------------------------------------------------------------

    async def add(self, wish: AddKey) -> KeyView:
        """Keep it, then verify it: whatever comes of that, the key is kept and the answer says."""
        row = provider_named(
            wish.provider, (await addressbook.known(self._store.pool, wish.workspace)).rows
        )
        region = region_named(row, None if wish.region == AUTO else wish.region)
        _check_workspace(wish.workspace)
        info = submission_info(
            workspace=wish.workspace, request=wish.request, provider=wish.provider
        )
        pasted = self._open(wish.sealed_secret, info)
        found: trial.Found | None = None
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
                pool=wish.pool,
            )
            once = self._once(wish, command, clean.secret)
            key = await self._store.made_before(once)
            if key is None and wish.region == AUTO:
                found = await self._find_region(wish, command, clean.secret)
                command = dataclasses.replace(
                    command,
                    region=found.region.name,
                    endpoint=endpoint_of(found.region, os.environ),
                )
            if key is None:
                key = await self._keep(wish, command, clean.secret, once)
        view = await self._store.key(wish.workspace, key)
        if view.state is KeyState.PENDING and found is not None:
            view = await self._verification.conclude(wish.workspace, view, found.heard)
        elif view.state is KeyState.PENDING:
            view = await self._verification.verify(wish.workspace, key)
        notes = (clean.note, found.note if found else "", view.reason)
        return replace(view, reason=" ".join(note for note in notes if note))

    async def _find_region(self, wish: AddKey, command: Add, secret: str) -> trial.Found:
        candidate = KeyView(
            id=command.key,
            version=1,
            provider=wish.provider,
            state=KeyState.PENDING,
            endpoint=command.endpoint,
            region=command.region,
            fingerprint=command.fingerprint,
        )
        return await trial.find_region(
            self._store, self._verification, wish.workspace, candidate, secret
        )

    def _open(self, sealed: bytes, info: Info) -> bytes:
        try:
            return self._store.identity.recipient.open(sealed, info)
        except CannotOpen as error:
            raise Invalid(
                "The key was not taken in: the vault that keeps keys was set up anew meanwhile.",
                next_step="Try again.",
                slug="not-sealed-for-us",
            ) from error

    def _once(self, wish: AddKey, command: Add, secret: str) -> Once | None:
        if not wish.idempotency_key:
            return None
        # Sealing is different each time, so what was sealed is compared.
        body = self._store.identity.mac(
            "add",
            wish.provider,
            wish.region or command.region,
            wish.label,
            str(wish.keep_others),
            str(wish.pool),
            secret,
        )
        return Once(f"add {wish.workspace} {wish.idempotency_key}", body)

    async def _keep(self, wish: AddKey, command: Add, secret: str, once: Once | None) -> str:
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

    # --- A key that is here -----------------------------------------------------------------

    async def rotate(self, wish: RotateKey) -> KeyView:
        """Another secret for the key, if its provider takes it; otherwise all stays as it was."""
        key = await self._store.key(wish.workspace, wish.key)
        info = rotation_info(workspace=wish.workspace, request=wish.request, key=wish.key)
        pasted = self._open(wish.sealed_secret, info)
        with REDACTOR.knowing(pasted.decode(errors="replace")):
            clean = cleaned(pasted)
            view = await trial.rotate(
                self._store, self._verification, wish.workspace, key, clean.secret, wish.by
            )
        return replace(view, reason=f"{clean.note} {view.reason}".strip())

    async def disable(self, wish: DisableKey) -> KeyView:
        return await self._change(wish.workspace, wish.key, Disable(key=wish.key, by=wish.by))

    async def enable(self, wish: EnableKey) -> KeyView:
        """Wanted again, and verified before anybody may use it."""
        key = await self._store.key(wish.workspace, wish.key)
        await addressbook.check(self._store.pool, wish.workspace, key)
        view = await self._change(wish.workspace, wish.key, Enable(key=wish.key, by=wish.by))
        if view.state is not KeyState.PENDING:
            return view
        return await self._verification.verify(wish.workspace, wish.key)

    async def revoke(self, wish: RevokeKey) -> KeyView:
        return await self._change(wish.workspace, wish.key, Revoke(key=wish.key, by=wish.by))

    async def prune(self, wish: PruneKeys) -> KeyList:
        """What was taken off the list, as it was before."""
        before = {key.id: key for key in await self._store.keys(wish.workspace, wish.provider)}
        removed: list[KeyView] = []
        for provider in dict.fromkeys(key.provider for key in before.values()):
            events = await self._store.change(wish.workspace, provider, Prune(by=wish.by))
            names = dict.fromkeys(event.key for event in events)
            removed += [before[name] for name in names if name in before]
        return KeyList(removed)

    async def _change(self, workspace: str, name: str, command: Command) -> KeyView:
        key = await self._store.key(workspace, name)
        try:
            await self._store.change(workspace, key.provider, command)
        except NotAsItIs as error:
            raise Conflict(
                f"This key is {key.state}: that is for ever.",
                next_step="Add a new key.",
                slug=f"key-{key.state}",
            ) from error
        except NoSuchKey as error:
            raise NotFound("There is no such key.") from error
        return await self._store.key(workspace, name)

    async def rewrap(self, wish: RewrapVault) -> Rewrapped:
        log.info("the KEK is changed", by=wish.by)
        keks = self._store.identity.keks
        try:
            *_, last = [step async for step in rewrap(self._store.pool, keks)]
        except CannotAdd as error:
            raise Conflict(str(error), next_step=error.next_step, slug="kek-not-changed") from error
        return rewrapped(keks, last)

    # --- What a provider said of a key in use -----------------------------------------------

    async def report(self, wish: ReportKey) -> Done:
        key = await self._store.key(wish.workspace, wish.key)
        if key.version != wish.version:
            return Done()  # what was said of an earlier version says nothing of this one
        if wish.account:
            account = self._store.identity.account(key.provider, key.endpoint, wish.account)
            command = Recognise(key=wish.key, version=wish.version, account=account)
            with suppress(NoSuchKey):
                await self._store.change(wish.workspace, key.provider, command)
        if wish.balance is not None:
            said = Judge(key=wish.key, version=wish.version, verdict=Accepted(balance=wish.balance))
            with suppress(NoSuchKey):
                await self._store.change(wish.workspace, key.provider, said)
        row = (await addressbook.known(self._store.pool, wish.workspace)).rows.get(key.provider)
        if wish.accepted is None or row is None:  # its endpoint is gone, and nobody is lent it
            return Done()
        verdict = Accepted()
        if not wish.accepted:
            form = region_by_form(row, await self._store.secret(key, wish.workspace))
            verdict = denied(row, key, wish.evidence, wish.hint, form)
        command = Report(key=wish.key, version=wish.version, attempt=wish.attempt, verdict=verdict)
        with suppress(NoSuchKey):  # taken off the list meanwhile
            await self._store.change(wish.workspace, key.provider, command)
        return Done()


def _check_workspace(name: str) -> None:
    try:
        token(name)
    except BadToken as error:
        raise Invalid(str(error), slug="bad-workspace") from error
