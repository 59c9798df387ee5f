"""How a panel ends: its dissent is put on record, the synthesis is written, the outcome is told.

What it says of itself is what the ballots carry. Where there is no synthesis, the drafts speak.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from contracts.deliberation import ConsensusConcluded, Metrics, Outcome
from contracts.modes import Purpose
from services.discussion.consensus import synthesis
from services.discussion.consensus.labels import labels
from services.discussion.consensus.synthesis import Synthesis
from services.discussion.modes.consensus.panel import Panel
from services.discussion.modes.consensus.verdict import Verdict, answers, dissents, verdict
from services.discussion.modes.table import Call, Dismiss, Listen, Next, Seat, Speak, Tell

DECIDED = frozenset({Outcome.CONSENSUS, Outcome.MAJORITY})
"""Outcomes with a winner: there is something to write a common answer from."""


def ending(panel: Panel) -> Next:
    """The next step from the decision to the end."""
    found = verdict(panel, panel.rounds)
    told = {fact.id for fact in panel.dissents}
    untold = [fact for fact in dissents(panel, found) if fact.id not in told]
    if untold:
        return Tell(tuple(untold))
    written = [seat for seat in panel.table.seats if seat.purpose is Purpose.SYNTHESIS]
    if found.outcome in DECIDED and not written and not panel.out_of_time:
        return _synthesis(panel, found)
    if waiting := tuple(seat.turn for seat in written if seat.awaited):
        return Dismiss(waiting) if panel.out_of_time else Listen()
    return Tell((_concluded(panel, found, written),))


def _synthesis(panel: Panel, found: Verdict) -> Speak:
    shown = [panel.shown(draft, found.round) for draft in panel.drafts]
    call = Call(
        participant=panel.chair(found.winner),
        purpose=Purpose.SYNTHESIS,
        round=max(panel.rounds, 1),
        labels=labels(shown, reviewer=len(shown), seed=panel.seed),
        patience=panel.patience,
    )
    return Speak((call,))


def _concluded(panel: Panel, found: Verdict, written: list[Seat]) -> ConsensusConcluded:
    common = _read(panel, written)
    return ConsensusConcluded(
        at=panel.table.now,
        discussion=panel.opened.discussion,
        run=panel.table.run,
        outcome=found.outcome,
        winner=found.winner,
        leaders=list(found.leaders),
        text=common.text if common is not None else _unblended(panel, found),
        agreed=list(common.agreed) if common is not None else [],
        contested=list(common.contested) if common is not None else [],
        unique=list(common.unique) if common is not None else [],
        left_out=list(common.left_out) if common is not None else [],
        dissents=[fact.id for fact in panel.dissents],
        notes=list(_notes(panel, found, common)),
        metrics=_metrics(panel, found, common),
    )


def _read(panel: Panel, written: list[Seat]) -> Synthesis | None:
    """What came of the synthesis, if it came in time and can be read."""
    for seat in written:
        if seat.counts:
            drafts = {letter: panel.draft_of(turn) for letter, turn in seat.labels.items()}
            return synthesis.read(seat.text, drafts)
    return None


def _unblended(panel: Panel, found: Verdict) -> str:
    """The leading drafts as they are."""
    texts = [panel.words(panel.shown(draft, found.round)).strip() for draft in found.leaders]
    if len(texts) < 2:
        return "".join(texts)
    return "\n\n".join(f"## Draft {place}\n\n{text}" for place, text in enumerate(texts, start=1))


# --- What a reader should know ----------------------------------------------------------------


def _notes(panel: Panel, found: Verdict, common: Synthesis | None) -> Iterator[str]:
    yield from _of_the_missing(panel, found)
    yield from _of_the_outcome(panel, found)
    if found.flipped:
        yield (
            "The last round put another draft first, but no change had named a blocking objection: "
            "the vote over the sealed drafts stands."
        )
    if found.outcome not in DECIDED:
        return
    if common is None:
        yield ("No synthesis could be made; this is the draft that came out first, word for word.")
    elif common.uncited:
        what = "statement" if common.uncited == 1 else "statements"
        yield f"{common.uncited} {what} of the synthesis named no draft as source: left out."


def _of_the_missing(panel: Panel, found: Verdict) -> Iterator[str]:
    for member in panel.sealed.absent if panel.sealed is not None else []:
        yield f"{panel.table.name(member)} took no part: no draft of it came in time."
    if panel.opened.options.closed or not panel.rounds:
        return
    voted = {ballot.member for ballot in panel.ballots(found.round or panel.rounds)}
    called_off = panel.stop is not None and panel.stop.rule == "S1"
    for member in sorted(set(panel.authors.values()) - voted):
        name = panel.table.name(member)
        if called_off:
            yield f"{name} was not waited for: its ballot could not have changed the winner."
        else:
            yield f"{name} has no vote in the count: {_why_none(panel, found, member)}."


def _why_none(panel: Panel, found: Verdict, member: int) -> str:
    seats = panel.seats(found.round or panel.rounds, Purpose.REVIEW, Purpose.REPAIR)
    mine = [seat for seat in seats if seat.participant == member]
    if any(seat.turn in panel.rejected for seat in mine):
        return "its ballot could not be read"
    if any(seat.overdue for seat in mine):
        return "its ballot did not come in time"
    return "it did not answer, or was not waited for any more"


def _of_the_outcome(panel: Panel, found: Verdict) -> Iterator[str]:
    if panel.stop is not None and panel.stop.rule in {"S5", "by hand"}:
        why = "by hand" if panel.stop.rule == "by hand" else "because time or budget was used up"
        yield f"It was ended early, {why}: this is what had been reached by then."
    if found.outcome is Outcome.INSUFFICIENT:
        here = len(panel.drafts)
        yield (
            f"Nothing was decided: that takes {panel.quorum} drafts and {panel.quorum} ballots of "
            f"{len(panel.members)} members. {here} {'draft is' if here == 1 else 'drafts are'} "
            "there, as written."
        )
    elif two := _of_two(panel, found):
        yield two
    elif found.outcome is Outcome.SPLIT:
        yield "No draft is ahead by as much as one ballot: the leading ones are shown, unblended."


def _of_two(panel: Panel, found: Verdict) -> str:
    """Where only two are heard; else empty."""
    if panel.opened.options.closed:
        heard, how = len(answers(panel)), "both give the same answer"
        agree = found.outcome is Outcome.MAJORITY
    else:
        heard, how = len(panel.drafts), "both put the same draft first"
        agree = heard == 2 and panel.counted(found.round).agreement == 1.0
    said = f"agree: {how}." if agree else "differ."
    return f"Two members can only agree or differ. They {said}" if heard == 2 else ""


# --- What it did and took ---------------------------------------------------------------------


def _metrics(panel: Panel, found: Verdict, common: Synthesis | None) -> Metrics:
    seats = panel.table.seats
    kept = dropped = 0
    if common is not None:
        named = {draft for point in common.points for draft in point.drafts}
        kept = len(common.points)
        dropped = len(common.left_out) + sum(1 for draft in panel.drafts if draft not in named)
    best = panel.table.seat(found.winner).cost if found.winner else None
    return Metrics(
        agreement=_agreement(panel, found),
        kept=kept,
        dropped=dropped,
        flips=found.flips,
        requests=sum(seat.requests for seat in seats),
        tokens=sum(seat.tokens for seat in seats),
        unsettled=sum(seat.unsettled for seat in seats),
        cost=_dollars(seat.cost for seat in seats),
        cost_of_best=_dollars([best]) if found.winner else "",
    )


def _agreement(panel: Panel, found: Verdict) -> float | None:
    if not found.round:
        return None
    if panel.opened.options.closed:
        return panel.tallies[0].margin
    return panel.counted(found.round).agreement


def _dollars(costs: Iterator[Decimal | None] | list[Decimal | None]) -> str:
    every = list(costs)
    known = [each for each in every if each is not None]
    return f"{sum(known, Decimal(0)).normalize():f}" if len(known) == len(every) else ""
