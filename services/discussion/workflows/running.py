"""A run goes on: whoever is woken looks at what has happened in it, and does what is next.

No run lives in memory. A discussion that ends wakes its run in its own transaction, a step's
discussion is opened in the transaction of the fact that the step has begun, and every look begins
with the log: so whatever dies in between, the next look finds what there is to do, and does it
once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import structlog
from msgspec.structs import replace

from contracts.discussion import CancelDiscussion, OpenDiscussion, Opened
from contracts.discussion_events import DiscussionOpened
from contracts.failures import Internal, NotFound, Refused, Unavailable
from contracts.keeping import DeleteDiscussion
from contracts.workflow_events import JUDGE, RunDeleted, RunEvent, RunStarted, Step
from services.discussion.openings import Openings
from services.discussion.store import Store
from services.discussion.wakeups import Overtaken, Wakeup
from services.discussion.workflows import asking, budgets, judging, members, process, results
from services.discussion.workflows.aggregate import (
    AskJudge,
    Begin,
    Command,
    Completed,
    Going,
    Hear,
    NotReady,
    NotStarted,
    Over,
    Refuse,
    Skip,
    Skipped,
)
from services.discussion.workflows.budgets import Overdrawn, Spent
from services.discussion.workflows.journal import Loaded, Runs
from services.discussion.workflows.members import SQL
from services.discussion.workflows.process import AskJudgeNext, BeginNext
from services.discussion.workflows.results import Result
from services.discussion.workflows.templates import CannotRender, WordsGone, is_true, render
from shared.database import Connection

DELETED = "deleted"
"""As the list of discussions has it."""


class Running:
    """Handler of `run` wake-ups."""

    def __init__(
        self,
        store: Store,
        runs: Runs,
        openings: Openings,
        cancel: Callable[[CancelDiscussion], Awaitable[object]],
        delete: Callable[[DeleteDiscussion], Awaitable[object]],
    ) -> None:
        self._store = store
        self._runs = runs
        self._openings = openings
        self._cancel = cancel
        self._delete = delete
        self._log = structlog.stdlib.get_logger("runs")

    async def due(self, wakeup: Wakeup) -> None:
        """Do all there is to do, then rest until somebody wakes the run again."""
        try:
            while await self._one_thing(wakeup.subject):
                pass
        except NotReady as overtaken:
            raise Overtaken from overtaken
        async with self._store.transaction() as conn:
            await members.rest(conn, wakeup.subject, wakeup.payload)

    async def _one_thing(self, run: str) -> bool:
        async with self._store.reading() as conn:
            loaded = await self._runs.load(conn, run)
            ended = await self._ended(conn, loaded)
        match loaded.state:
            case NotStarted():
                return False
            case Over(deleted=True) as state:
                await self._forget(state, loaded.facts[-1])
                return False
            case Over(cancelled=cancelled):
                if cancelled:
                    await self._stop(loaded)
                return False
            case Going() as state:
                pass
        if ended:
            await self._change(loaded, ended[0])
            return True
        for thing in process.todo(state):
            match thing:
                case BeginNext():
                    await self._begin(loaded, state, thing)
                case AskJudgeNext():
                    await self._ask_judge(loaded, state, thing)
            return True
        return False

    # --- What has ended -------------------------------------------------------------------------

    async def _ended(self, conn: Connection, loaded: Loaded) -> list[Hear]:
        waiting = process.open_discussions(loaded.state)
        if not waiting or not isinstance(loaded.state, Going):
            return []
        rows = await conn.fetch(SQL["states_of_discussions"], waiting)
        states = {cast("str", row["discussion"]): cast("str", row["state"]) for row in rows}
        for discussion in waiting:
            if states.get(discussion, DELETED) in {DELETED, *results.ENDED}:
                return [await self._heard(conn, loaded, discussion)]
        return []

    async def _heard(self, conn: Connection, loaded: Loaded, discussion: str) -> Hear:
        found = await self._result(conn, discussion)
        judged = process.judges(loaded.state, discussion)
        return Hear(
            discussion=discussion,
            completed=found.state is results.DiscussionState.COMPLETED,
            outcome=found.outcome,
            spent=found.spent,
            seconds=found.seconds,
            characters=len(found.text),
            failed=found.failed,
            problem=found.problem,
            next_step=found.next_step,
            choice=judging.choice(found.text, judged[1]) if judged else None,
        )

    async def _result(self, conn: Connection, discussion: str) -> Result:
        facts = (await self._store.load(conn, discussion)).facts
        return results.result(facts)

    async def _stop(self, loaded: Loaded) -> None:
        """The discussions of a cancelled run are cancelled too."""
        assert isinstance(loaded.state, Over)
        started = loaded.started
        for discussion in process.open_discussions(loaded.state):
            command = CancelDiscussion(workspace=started.workspace, discussion=discussion)
            try:
                await self._cancel(command)
            except NotFound:
                continue  # it was deleted meanwhile

    async def _forget(self, state: Over, deleted: RunEvent) -> None:
        """The discussions of a deleted run are deleted too; those that it has kept of another run
        are that one's.
        """
        assert isinstance(deleted, RunDeleted)
        workspace, by = state.started.workspace, deleted.deleted_by
        for discussion in process.discussions(state):
            command = DeleteDiscussion(workspace=workspace, discussion=discussion, by=by)
            with suppress(NotFound):
                await self._delete(command)

    # --- What comes next ------------------------------------------------------------------------

    async def _begin(self, loaded: Loaded, state: Going, thing: BeginNext) -> None:
        started = state.started
        step = started.definition.step(thing.step)
        try:
            spoken = await self._context(state, step)
            if thing.fresh and step.when and not is_true(step.when, spoken):
                await self._change(loaded, Skip(step=step.name))
                return
            prompt = render(step.prompt, spoken).strip()
            if not prompt:
                raise CannotRender("The prompt came out empty: say something in it.")
        except CannotRender as error:
            await self._refuse(loaded, thing.step, thing.candidate, str(error), error.next_step)
            return
        wish = asking.discussion(started, step, thing.candidate, prompt)
        await self._open(loaded, step, thing.candidate, wish)

    async def _ask_judge(self, loaded: Loaded, state: Going, thing: AskJudgeNext) -> None:
        started = state.started
        step = started.definition.step(thing.step)
        assert step.compare_providers is not None
        order = judging.order(started.run, step.name, thing.candidates)
        candidates = state.steps[step.name].candidates
        async with self._store.reading() as conn:
            texts = {
                number: (await self._result(conn, candidates[number].discussion)).text
                for number in thing.candidates
            }
        try:
            task = render(step.prompt, await self._context(state, step))
        except CannotRender:
            task = step.title or step.name
        prompt = judging.prompt(task, step.compare_providers.criteria, order, texts)
        wish = asking.judgement(started, step, prompt)
        await self._open(loaded, step, JUDGE, wish, tuple(order))

    async def _context(self, state: Going, step: Step) -> dict[str, Any]:
        found: dict[str, Result | None] = {}
        async with self._store.reading() as conn:
            for name in sorted(asking.needed(step)):
                progress = state.steps.get(name)
                match progress.phase if progress else None:
                    case Completed(discussion):
                        found[name] = heard = await self._result(conn, discussion)
                        if heard.deleted:
                            raise WordsGone(name)
                    case Skipped():
                        found[name] = None
                    case _:
                        pass
        return asking.context(state.started, found)

    async def _open(
        self,
        loaded: Loaded,
        step: Step,
        candidate: int,
        wish: OpenDiscussion,
        order: tuple[int, ...] = (),
    ) -> None:
        """Open the discussion and state that the step has begun: both or neither."""
        started = loaded.started
        try:
            draft = await self._openings.draft(wish)
            draft = replace(draft, title=asking.title(started, step, candidate)[:200])
            async with self._store.transaction() as conn:
                held = await self._runs.hold(conn, loaded.id)
                await self._begin_within(conn, held, step, candidate, draft, order)
        except (Unavailable, Internal):
            raise  # it is tried again later
        except Refused as refused:
            told = refused.problem
            nearest = f" Did you mean {' or '.join(told.nearest)}?" if told.nearest else ""
            problem = f"{told.detail or told.title}{nearest}"
            await self._refuse(loaded, step.name, candidate, problem, told.next_step)
        except _TooDear as dear:
            over = dear.overdrawn
            await self._refuse(loaded, step.name, candidate, over.problem, over.next_step)

    async def _begin_within(
        self,
        conn: Connection,
        held: Loaded,
        step: Step,
        candidate: int,
        draft: DiscussionOpened,
        order: tuple[int, ...],
    ) -> None:
        discussion, started = draft.discussion, held.started
        reserved = await self._affordable(conn, held, step, draft)
        command: Command = (
            AskJudge(step=step.name, discussion=discussion, order=order, reserved=reserved)
            if candidate == JUDGE
            else Begin(
                step=step.name, candidate=candidate, discussion=discussion, reserved=reserved
            )
        )
        events = await self._runs.decide(conn, held, command)
        await members.join(conn, discussion, held.id, started.workspace)
        opened: Opened = await self._openings.begin(conn, draft, by=started.started_by)
        assert opened.discussion == discussion
        await self._runs.append(conn, held, events)

    async def _affordable(
        self, conn: Connection, held: Loaded, step: Step, draft: DiscussionOpened
    ) -> Spent:
        """What the discussion may cost, if the budgets of the step and the run have room for it."""
        told = await self._openings.estimated(conn, draft)
        wanted = Spent(told.tokens, told.cost.amount if told.cost is not None else None)
        state, started = held.state, held.started
        of_step = budgets.refusal(step.budget, "the step", process.spent(state, step.name), wanted)
        of_run = budgets.refusal(_budget(started), "the run", process.spent(state), wanted)
        if over := of_step or of_run:
            raise _TooDear(over)
        return wanted

    # --- Changing a run ---------------------------------------------------------------------------

    async def _refuse(
        self, loaded: Loaded, step: str, candidate: int, problem: str, next_step: str
    ) -> None:
        self._log.info("a step cannot be asked", run=loaded.id, step=step)
        await self._change(
            loaded, Refuse(step=step, candidate=candidate, problem=problem, next_step=next_step)
        )

    async def _change(self, loaded: Loaded, command: Command) -> None:
        async with self._store.transaction() as conn:
            held = await self._runs.hold(conn, loaded.id)
            events = await self._runs.decide(conn, held, command)
            await self._runs.append(conn, held, events)


class _TooDear(Exception):
    def __init__(self, overdrawn: Overdrawn) -> None:
        super().__init__(overdrawn.problem)
        self.overdrawn = overdrawn


def _budget(started: RunStarted) -> Any:
    return started.budget or started.definition.budget
