"""A new discussion: who takes part, on which models, and whether that can be had at all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import cast

import msgspec

from contracts.attempts import LiveModel, Parameters
from contracts.budgets import BudgetScope
from contracts.deliberation import Lineage
from contracts.discussion import Estimate, ForkDiscussion, OpenDiscussion, Opened, WantedParticipant
from contracts.discussion_events import DiscussionOpened, Participant
from contracts.failures import Invalid, NotFound, TimedOut, Unavailable, Unreachable
from contracts.personas import GetPersona, PersonaView
from contracts.providers import Provider
from contracts.subjects import command_subject
from contracts.wishes import judged
from services.discussion import budgets, catalog, endpoints, forking, lineup
from services.discussion.aggregate import NotOpened, Open
from services.discussion.catalog import Catalog
from services.discussion.estimates import Estimates
from services.discussion.keyring import Keyring
from services.discussion.probes import Probes
from services.discussion.settings import keyless_addresses
from services.discussion.sql import SQL
from services.discussion.store import Loaded, Store
from services.discussion.views import title_of
from shared.bus import Bus
from shared.database import Connection
from shared.idempotency import remember, remembered
from shared.ids import fresh

PERSONA_WITHIN = timedelta(seconds=5)


class Openings:
    """Opens discussions."""

    def __init__(
        self, store: Store, bus: Bus, keyring: Keyring, probes: Probes, estimates: Estimates
    ) -> None:
        self._store = store
        self._bus = bus
        self._keyring = keyring
        self._probes = probes
        self._estimates = estimates

    async def open(self, command: OpenDiscussion) -> Opened:
        """The verb `open`. Refuses before anything is paid for: unknown personas and models."""
        return await self._opened(command, await self.draft(command))

    async def fork(self, command: ForkDiscussion) -> Opened:
        """The verb `fork`: what a turn was asked is asked again, of somebody else or once more."""
        async with self._store.reading() as conn:
            await self._store.find(conn, command.workspace, command.discussion)
            loaded = await self._store.load(conn, command.discussion)
        wish = forking.wish(loaded.facts, command)
        draft = msgspec.structs.replace(
            await self.draft(wish),
            forked_from=Lineage(discussion=command.discussion, turn=command.turn),
        )
        return await self._opened(wish, draft)

    async def _opened(self, command: OpenDiscussion, draft: DiscussionOpened) -> Opened:
        key = f"{command.workspace}/open/{command.idempotency_key}"
        key = key if command.idempotency_key else ""
        async with self._store.transaction() as conn:
            if (reply := await remembered(conn, key, command.body_hmac)) is not None:
                return msgspec.json.decode(reply, type=Opened)
            answer = await self.begin(conn, draft, by=command.by)
            await remember(conn, key, command.body_hmac, msgspec.json.encode(answer))
        return answer

    async def begin(self, conn: Connection, draft: DiscussionOpened, *, by: str) -> Opened:
        """Open what was drafted, in the caller's transaction."""
        now = await self._store.clock(conn)
        limit = timedelta(seconds=draft.options.time_limit)
        opened = msgspec.structs.replace(draft, at=now, deadline=now + limit if limit else None)
        await budgets.check(conn, opened, now)
        if opened.budget is not None:
            await budgets.allow(
                conn,
                opened.workspace,
                BudgetScope.DISCUSSION,
                opened.discussion,
                opened.budget,
                now,
                by=by,
            )
        estimate = await self._estimates.of(conn, opened, now)
        events = await self._store.change(
            conn, Loaded(opened.discussion, [], NotOpened()), Open(opened), by=by
        )
        return Opened(discussion=opened.discussion, version=len(events), estimate=estimate)

    async def estimate(self, command: OpenDiscussion) -> Estimate:
        """The verb `estimate`: refuses what `open` would refuse, and opens nothing."""
        draft = await self.draft(command)
        async with self._store.reading() as conn:
            now = await self._store.clock(conn)
            await budgets.check(conn, draft, now)
            return await self._estimates.of(conn, draft, now)

    async def estimated(self, conn: Connection, draft: DiscussionOpened) -> Estimate:
        """What was drafted would take, as things stand in the caller's transaction."""
        return await self._estimates.of(conn, draft, await self._store.clock(conn))

    async def draft(self, command: OpenDiscussion) -> DiscussionOpened:
        """How the discussion would begin; when, is said when it does."""
        lineup.check(command)
        personas = await self._personas(command)
        catalogs, rows = await self._catalogs(command)
        participants = [
            _participant(wanted, personas, catalogs, rows) for wanted in command.participants
        ]
        _refuse_what_cannot_be_kept(command, participants, rows)
        topic = command.topic or _last_said(command)
        return DiscussionOpened(
            at=datetime.now(UTC),
            discussion=fresh(),
            workspace=command.workspace,
            mode=command.mode,
            participants=participants,
            parameters=command.parameters or Parameters(max_completion_tokens=0),
            title=title_of(topic),
            topic=topic,
            messages=command.messages,
            instructions={slug: persona.prompt for slug, persona in personas.items()},
            opened_by=command.by,
            options=command.options,
            run=command.run,
            budget=command.budget,
            keep_words=command.keep_words,
        )

    async def catalogs(self, conn: Connection, workspace: str) -> list[Catalog]:
        """What can be used now."""
        there = await endpoints.known(conn, workspace)
        addresses = keyless_addresses(rows=there.rows)
        rows = await conn.fetch(SQL["catalogs"], workspace)
        return [
            Catalog(
                provider=row["provider"],
                endpoint=row["endpoint"],
                models=tuple(msgspec.json.decode(row["models"], type=list[LiveModel])),
                refreshed_at=cast("datetime", row["refreshed_at"]),
                key=row["key"],
                activated_at=row["activated_at"],
            )
            for row in rows
            if row["provider"] in there.rows
            if row["key"] or addresses.get(row["provider"]) == row["endpoint"]
        ]

    async def _catalogs(
        self, command: OpenDiscussion
    ) -> tuple[list[Catalog], Mapping[str, Provider]]:
        wanted = {(each.model or "").partition("/")[0] for each in command.participants}
        known, rows = await self._known(command.workspace)
        if any("/" in (each.model or "") for each in command.participants) and (
            wanted - {""} - rows.keys()
        ):
            # Its endpoint may have been added a moment ago.
            await self._keyring.look_for_endpoints(command.workspace)
            known, rows = await self._known(command.workspace)
        missing = {
            provider
            for provider in wanted & rows.keys()
            if rows[provider].needs_key and not any(each.provider == provider for each in known)
        }
        # At start services are ready before the first look at the local model has succeeded.
        unseen = {
            provider
            for provider in keyless_addresses(rows=rows)
            if (provider in wanted or not known)
            and not any(each.provider == provider for each in known)
        }
        if "" in wanted and not any(each.key for each in known):
            missing.add("")  # whatever key there is: it may have been added a moment ago
        if not missing and not unseen:
            return known, rows
        for provider in missing:
            await self._keyring.look_again(command.workspace, provider or None)
        for provider in unseen:
            await self._probes.look_now(command.workspace, provider)
        return await self._known(command.workspace)

    async def _known(self, workspace: str) -> tuple[list[Catalog], Mapping[str, Provider]]:
        async with self._store.reading() as conn:
            there = await endpoints.known(conn, workspace)
            return await self.catalogs(conn, workspace), there.rows

    async def _personas(self, command: OpenDiscussion) -> dict[str, PersonaView]:
        slugs = {wanted.persona for wanted in command.participants if wanted.persona}
        return {slug: await self._persona(command.workspace, slug) for slug in sorted(slugs)}

    async def _persona(self, workspace: str, slug: str) -> PersonaView:
        try:
            return await self._bus.request(
                command_subject("persona", "get"),
                GetPersona(workspace=workspace, slug=slug),
                PersonaView,
                within=PERSONA_WITHIN,
            )
        except NotFound as missing:
            raise Invalid(
                f"There is no persona called {slug[:80]!r}.",
                slug="unknown-persona",
                title="Unknown persona",
                nearest=missing.problem.nearest,
                next_step="GET /api/v1/personas lists them.",
            ) from missing
        except (Unreachable, TimedOut) as away:
            raise Unavailable(
                "The personas cannot be read just now.", next_step="Try again in a moment."
            ) from away


def _refuse_what_cannot_be_kept(
    command: OpenDiscussion, participants: list[Participant], rows: Mapping[str, Provider]
) -> None:
    """A wish that a chosen model cannot keep is told now, not by a turn that fails."""
    if command.parameters is None:
        return
    for participant in participants:
        provider, _, model = participant.model.partition("/")
        refused = judged(command.parameters, rows[provider], model).refused
        if refused:
            raise Invalid(
                " ".join(refused.values()),
                slug="unsupported-parameter",
                title="This cannot be asked of the model",
                errors=[
                    {"field": f"options.{name}", "message": why} for name, why in refused.items()
                ],
                next_step=f"Leave {' and '.join(refused)} out, or choose another model.",
            )


def _participant(
    wanted: WantedParticipant,
    personas: dict[str, PersonaView],
    catalogs: list[Catalog],
    rows: Mapping[str, Provider],
) -> Participant:
    persona = personas.get(wanted.persona) if wanted.persona else None
    chosen = catalog.resolve(wanted.model, persona.model if persona else "", catalogs, rows)
    thinks, price = catalog.participant_facts(chosen, catalogs, rows)
    if persona is None:
        return Participant(model=chosen, thinks=thinks, price=price, role=wanted.role)
    return Participant(
        model=chosen,
        thinks=thinks,
        price=price,
        persona=persona.slug,
        name=persona.name,
        version=persona.version,
        color=persona.color,
        role=wanted.role,
    )


def _last_said(command: OpenDiscussion) -> str:
    """The user's last message, which names the discussion."""
    for message in reversed(command.messages):
        if message.role == "user":
            if isinstance(message.content, str):
                return message.content
            parts = message.content or []
            return " ".join(str(part["text"]) for part in parts if part.get("type") == "text")
    return "Untitled"
