"""What discussion is asked, and by whom it is answered. Each verb is one line of the list below."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from contracts.budgets import BudgetList, BudgetView, ListBudgets, RemoveBudget, SetBudget
from contracts.discussion import (
    CancelDiscussion,
    ConcludeDiscussion,
    DiscussionLine,
    DiscussionList,
    DiscussionState,
    DiscussionView,
    ForkDiscussion,
    GetDiscussion,
    GetHistory,
    History,
    ListDiscussions,
    OpenDiscussion,
    PickWinner,
    PostMessage,
    RetryTurn,
)
from contracts.failures import Conflict, NotFound
from contracts.keeping import DeleteDiscussion, RenameDiscussion
from contracts.keys import Done
from contracts.modes import Mode
from contracts.standing import ModelStandings, ResolveModels
from contracts.supply import (
    ListModels,
    ListProviders,
    ModelList,
    ProbeKey,
    ProviderList,
    ProviderView,
    RefreshModels,
    SetLimits,
)
from contracts.usage import AskUsage, UsageReport
from services.discussion import (
    budgets,
    catalog,
    endpoints,
    history,
    limits,
    providers,
    races,
    usage,
)
from services.discussion.aggregate import Cancel, NoSuchTurn, NothingToRetry, Retry
from services.discussion.forgetting import Forgetting
from services.discussion.found import words_of
from services.discussion.interjections import Interjections
from services.discussion.openings import Openings
from services.discussion.probes import Probes
from services.discussion.refreshing import Refreshing
from services.discussion.salvaging import being_said
from services.discussion.sql import SQL
from services.discussion.standing import standing
from services.discussion.store import Store
from services.discussion.views import view
from shared.bus import Bus, Verb

MOST_LISTED = 200


class Inbox:
    """The verbs of discussion."""

    def __init__(
        self,
        store: Store,
        openings: Openings,
        interjections: Interjections,
        forgetting: Forgetting,
        probes: Probes,
        refreshing: Refreshing,
        bus: Bus,
    ) -> None:
        self._store = store
        self._bus = bus
        self._openings = openings
        self._interjections = interjections
        self._forgetting = forgetting
        self._probes = probes
        self._refreshing = refreshing

    def verbs(self) -> Sequence[Verb[Any]]:
        return [
            Verb("open", OpenDiscussion, self._openings.open),
            Verb("estimate", OpenDiscussion, self._openings.estimate),
            Verb("cancel", CancelDiscussion, self.cancel),
            Verb("retry", RetryTurn, self.retry),
            Verb("fork", ForkDiscussion, self._openings.fork),
            Verb("post", PostMessage, self._interjections.post),
            Verb("conclude", ConcludeDiscussion, self._interjections.conclude),
            Verb("pick", PickWinner, self._interjections.pick),
            Verb("rename", RenameDiscussion, self._forgetting.rename),
            Verb("delete", DeleteDiscussion, self._forgetting.delete),
            Verb("get", GetDiscussion, self.get),
            Verb("list", ListDiscussions, self.list),
            Verb("history", GetHistory, self.history),
            Verb("models", ListModels, self.models),
            Verb("resolve", ResolveModels, self.resolve),
            Verb("refresh", RefreshModels, self._refreshing.asked),
            Verb("providers", ListProviders, self.providers),
            Verb("limits", SetLimits, self.limits),
            Verb("usage", AskUsage, self.usage),
            Verb("budgets", ListBudgets, self.budgets),
            Verb("set_budget", SetBudget, self.set_budget),
            Verb("remove_budget", RemoveBudget, self.remove_budget),
            Verb("probe", ProbeKey, self._probes.asked),
        ]

    async def cancel(self, command: CancelDiscussion) -> Done:
        await races.settled(partial(self._cancel, command))
        return Done()

    async def _cancel(self, command: CancelDiscussion) -> None:
        # The broker is asked before anything is locked.
        async with self._store.reading() as conn:
            await self._store.find(conn, command.workspace, command.discussion)
            before = await self._store.load(conn, command.discussion)
        heard = await being_said(self._bus, before, command.workspace)
        async with self._store.transaction() as conn:
            await self._store.find(conn, command.workspace, command.discussion)
            loaded = await self._store.hold(conn, command.discussion)
            await self._store.change(conn, loaded, Cancel(command.by, heard), by=command.by)

    async def retry(self, command: RetryTurn) -> Done:
        await races.settled(partial(self._retry, command))
        return Done()

    async def _retry(self, command: RetryTurn) -> None:
        async with self._store.transaction() as conn:
            await self._store.find(conn, command.workspace, command.discussion)
            loaded = await self._store.hold(conn, command.discussion)
            wish = Retry(turn=command.turn, by=command.by)
            try:
                events = await self._store.change(conn, loaded, wish, by=command.by)
            except NoSuchTurn as unknown:
                raise NotFound(
                    "There is no such turn in this discussion.",
                    next_step="GET /api/v1/discussions/{id} lists its turns.",
                ) from unknown
            except NothingToRetry as refused:
                raise Conflict(
                    "The turn has answered." if refused.completed else "The turn is running.",
                    next_step="Only a turn that failed, was cancelled or waits can be tried again.",
                ) from refused
            if not events:
                await conn.execute(SQL["look_again"], command.turn)

    async def get(self, command: GetDiscussion) -> DiscussionView:
        async with self._store.reading() as conn:
            await self._store.find(conn, command.workspace, command.discussion)
            loaded = await self._store.load(conn, command.discussion)
        return view(loaded.facts)

    async def history(self, command: GetHistory) -> History:
        async with self._store.reading() as conn:
            row = await self._store.find(conn, command.workspace, command.discussion)
            after = max(0, command.after)
            loaded = await self._store.load(conn, command.discussion, after=after)
        return History(
            items=history.page(loaded.events, command.limit),
            version=row["version"],
            state=DiscussionState(row["state"]),
        )

    async def list(self, command: ListDiscussions) -> DiscussionList:
        limit = max(1, min(command.limit, MOST_LISTED))
        async with self._store.reading() as conn:
            rows = await conn.fetch(
                SQL["list_discussions"],
                command.workspace,
                command.state.value if command.state else "",
                words_of(command.q),
                command.cursor,
                limit + 1,
            )
        items = [
            DiscussionLine(
                id=row["discussion"],
                title=bytes(row["title"]).decode(),
                state=DiscussionState(row["state"]),
                mode=Mode(row["mode"]),
                created_at=row["created_at"],
                updated_at=row["updated_at"],
            )
            for row in rows[:limit]
        ]
        more = len(rows) > limit
        return DiscussionList(items=items, next_cursor=items[-1].id if more else "")

    async def models(self, command: ListModels) -> ModelList:
        async with self._store.reading() as conn:
            known = await self._openings.catalogs(conn, command.workspace)
            there = await endpoints.known(conn, command.workspace)
        return ModelList(catalog.listing(known, there.rows))

    async def resolve(self, command: ResolveModels) -> ModelStandings:
        async with self._store.reading() as conn:
            known = await self._openings.catalogs(conn, command.workspace)
            there = await endpoints.known(conn, command.workspace)
        return ModelStandings([standing(model, known, there.rows) for model in command.models])

    async def providers(self, command: ListProviders) -> ProviderList:
        async with self._store.reading() as conn:
            known = await self._openings.catalogs(conn, command.workspace)
            return ProviderList(await providers.overview(conn, command.workspace, known))

    async def limits(self, command: SetLimits) -> ProviderView:
        async with self._store.transaction() as conn:
            await limits.change(conn, command)
        async with self._store.reading() as conn:
            known = await self._openings.catalogs(conn, command.workspace)
            shown = await providers.overview(conn, command.workspace, known)
        return next(view for view in shown if view.name == command.provider)

    async def usage(self, command: AskUsage) -> UsageReport:
        async with self._store.reading() as conn:
            return await usage.report(conn, command)

    async def budgets(self, command: ListBudgets) -> BudgetList:
        async with self._store.reading() as conn:
            return await budgets.listing(conn, command, await self._store.clock(conn))

    async def set_budget(self, command: SetBudget) -> BudgetView:
        async with self._store.transaction() as conn:
            return await budgets.change(conn, command, await self._store.clock(conn))

    async def remove_budget(self, command: RemoveBudget) -> Done:
        async with self._store.transaction() as conn:
            await budgets.remove(conn, command)
        return Done()
