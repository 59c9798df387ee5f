"""Whatever the members of a panel are like, and in whatever order they speak, these hold."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.deliberation import (
    BallotSubmitted,
    ConsensusConcluded,
    DissentRecorded,
    Outcome,
    PositionChanged,
    RoundTallied,
    StopDecided,
)
from contracts.discussion_events import TERMINAL, DiscussionReopened
from contracts.modes import Options, Purpose
from services.discussion import aggregate
from services.discussion.aggregate import Say
from services.discussion.consensus.ballots import Ballot
from services.discussion.consensus.labels import labels
from services.discussion.consensus.tally import tally
from services.discussion.modes.table import Seat
from tests.sittings import Sitting

IDEAS = "abcde"
HONEST = ("plain", "self", "conformist", "stubborn", "hollow", "injector", "unparsable", "clumsy")
KINDS = (*HONEST, "label", "length", "vain")

few = settings(max_examples=60, deadline=None)


@st.composite
def panels(draw: st.DrawFn, kinds: tuple[str, ...] = KINDS) -> tuple[str, ...]:
    size = draw(st.integers(2, 5))
    objections = st.sampled_from(["", "", *IDEAS, *IDEAS.upper(), "ab", "aA", "bB"])
    return tuple(
        "-".join(
            (
                draw(st.sampled_from(kinds)),
                IDEAS[at],
                "".join(draw(st.permutations(IDEAS))) + draw(st.sampled_from(["", "A", "B"])),
                draw(objections),
            )
        )
        for at in range(size)
    )


wishes = st.builds(
    Options, revisions=st.integers(0, 2), seed=st.integers(1, 99), closed=st.booleans()
)


@st.composite
def faults(draw: st.DrawFn) -> dict[tuple[int, Purpose, int], str]:
    what = st.sampled_from(["dead", "slow", "poor"])
    who = st.tuples(st.integers(0, 4), st.sampled_from(list(Purpose)), st.integers(1, 3))
    return draw(st.dictionaries(who, what, max_size=4))


@dataclass(frozen=True)
class Plan:
    """Who sits in a panel, how it goes about it, what goes wrong, and who speaks first."""

    members: tuple[str, ...]
    options: Options
    faulty: dict[tuple[int, Purpose, int], str] = field(
        default_factory=dict[tuple[int, Purpose, int], str]
    )
    order: int = 1

    def play(self) -> Sitting:
        def fault(seat: Seat) -> str:
            return self.faulty.get((seat.participant, seat.purpose, seat.round), "")

        dice = random.Random(self.order)
        sitting = Sitting(self.members, options=self.options, fault=fault, dice=dice)
        sitting.play()
        return sitting


plans = st.builds(Plan, panels(), wishes, faults(), st.integers())


@few
@given(plans)
def test_it_ends_once_and_says_how(plan: Plan) -> None:
    sitting = plan.play()

    sitting.tell(Say(message="m", text="And?"))
    sitting.go_on()

    assert len(sitting.of(ConsensusConcluded)) == 1
    assert len(sitting.of(StopDecided)) == 1
    runs = 1 + len([event for event in sitting.log if isinstance(event, DiscussionReopened)])
    assert len([event for event in sitting.log if isinstance(event, TERMINAL)]) == runs == 2


@few
@given(plans)
def test_played_again_from_its_log_it_is_the_same(plan: Plan) -> None:
    sitting = plan.play()

    assert aggregate.replay(sitting.log) == sitting.state


@few
@given(plans)
def test_every_blocking_objection_is_resolved_or_on_record(plan: Plan) -> None:
    sitting = plan.play()

    recorded = {dissent.id for dissent in sitting.of(DissentRecorded)}
    ballots = sitting.of(BallotSubmitted)
    for ballot in ballots:
        for objection in ballot.objections:
            if objection.severity != "blocking" or objection.id in recorded:
                continue
            rounds = [
                change.round
                for change in sitting.of(PositionChanged)
                if objection.id in change.cites and change.draft == objection.draft
            ]
            satisfied = [
                again
                for again in ballots
                if again.member == ballot.member
                and again.round in rounds
                and not any(
                    each.draft == objection.draft and each.severity == "blocking"
                    for each in again.objections
                )
            ]
            assert satisfied
    assert sitting.conclusion.dissents == [each.id for each in sitting.of(DissentRecorded)]


@few
@given(plans)
def test_what_it_says_it_cost_is_what_was_billed(plan: Plan) -> None:
    sitting = plan.play()

    metrics = sitting.conclusion.metrics
    slow = len(sitting.asked) - int(sitting.bill * 100)
    assert metrics.cost == f"{sitting.bill.normalize():f}"
    assert (metrics.requests, metrics.unsettled) == (len(sitting.asked), slow)


@few
@given(panels(HONEST), wishes, st.integers(), st.integers())
def test_who_speaks_first_decides_nothing(
    members: tuple[str, ...], options: Options, one: int, other: int
) -> None:
    first, second = (
        Plan(members, options, order=one).play(),
        Plan(members, options, order=other).play(),
    )

    if "S1" in {stop.rule for each in (first, second) for stop in each.of(StopDecided)}:
        # Ballots were spared, but only where they could not have changed who leads.
        ahead = [each.idea(each.of(RoundTallied)[-1].winner) for each in (first, second)]
        assert ahead[0] == ahead[1]
    else:
        assert first.conclusion.outcome is second.conclusion.outcome
        assert first.leaders == second.leaders


@few
@given(panels(("plain", "self", "stubborn")), wishes, st.randoms())
def test_who_sits_where_decides_nothing(
    members: tuple[str, ...], options: Options, dice: random.Random
) -> None:
    """Unless lots were drawn."""
    moved = tuple(dice.sample(members, len(members)))
    first, second = Plan(members, options).play(), Plan(moved, options).play()

    rules = {tally.rule for each in (first, second) for tally in each.of(RoundTallied)}
    stops = {stop.rule for each in (first, second) for stop in each.of(StopDecided)}
    if "seed" not in rules and "S1" not in stops:
        assert first.conclusion.outcome is second.conclusion.outcome
        assert first.leaders == second.leaders


@few
@given(panels(), wishes, st.integers())
def test_the_word_consensus_is_only_used_where_the_ballots_carry_it(
    members: tuple[str, ...], options: Options, order: int
) -> None:
    sitting = Plan(members, options, order=order).play()

    end = sitting.conclusion
    if end.outcome is Outcome.CONSENSUS and not options.closed:
        tally = sitting.of(RoundTallied)[-1]
        assert tally.needed is not None
        assert tally.agreement is not None
        assert tally.agreement >= tally.needed
        against = [each for each in sitting.of(DissentRecorded) if each.kind == "objection"]
        assert end.winner not in {each.draft for each in against}
    if end.outcome is Outcome.SPLIT:
        assert len(end.leaders) >= 2
        assert not sitting.asked_for(Purpose.SYNTHESIS)


@few
@given(panels(), wishes, st.integers())
def test_letters_are_fair_and_nothing_tells_whose_they_are(
    members: tuple[str, ...], options: Options, order: int
) -> None:
    sitting = Plan(members, options, order=order).play()

    seen: Counter[tuple[str, str]] = Counter()
    for seat, messages, _ in sitting.asked:
        text = "\n".join(str(each.content) for each in messages)
        assert not any(turn in text for turn in sitting.turns), "no turn is named in a prompt"
        if seat.purpose in {Purpose.REVIEW, Purpose.REPAIR}:
            assert len(set(seat.labels.values())) == len(seat.labels)
        if seat.purpose is Purpose.REVIEW and seat.round == 1:
            seen.update(seat.labels.items())
    if seen:
        letters = {letter for letter, _ in seen}
        turns = {turn for _, turn in seen}
        times = [seen[letter, turn] for letter in letters for turn in turns]
        assert max(times) - min(times) <= 1


DRAFTS = ["ada", "bob", "cyd", "dan"]


@given(
    st.lists(st.permutations(DRAFTS), min_size=1, max_size=6),
    st.integers(0, 9),
    st.integers(0, 99),
)
def test_whoever_loves_the_letter_a_cannot_turn_a_clear_result(
    honest: list[list[str]], reviewer: int, seed: int
) -> None:
    """A lead in Borda's points of more than drafts - 1 is more than one ballot can give."""
    authors = {draft: draft for draft in DRAFTS}
    ballots = [Ballot(f"voter-{n}", tuple(order)) for n, order in enumerate(honest)]
    shown = labels(DRAFTS, reviewer=reviewer, seed=seed)
    lover = Ballot("lover", tuple(shown[letter] for letter in sorted(shown)))

    before = tally(DRAFTS, ballots, authors=authors, seed=seed)
    after = tally(DRAFTS, [*ballots, lover], authors=authors, seed=seed)

    points = {draft: before.borda[draft] * len(honest) * (len(DRAFTS) - 1) for draft in DRAFTS}
    first, second = sorted(DRAFTS, key=lambda draft: -points[draft])[:2]
    if points[first] - points[second] > len(DRAFTS) - 1 + 1e-6:
        assert max(DRAFTS, key=lambda draft: after.borda[draft]) == first
    beaten = [before.wins[before.winner, each] - before.wins[each, before.winner]
              for each in DRAFTS if each != before.winner]  # fmt: skip
    if min(beaten) > 1:
        assert after.winner == before.winner


@given(st.lists(st.permutations(DRAFTS), max_size=5), st.integers(0, 99))
def test_over_all_letters_that_love_is_nobodys_gain(honest: list[list[str]], seed: int) -> None:
    authors = {draft: draft for draft in DRAFTS}
    ballots = [Ballot(f"voter-{n}", tuple(order)) for n, order in enumerate(honest)]
    lovers: list[Ballot] = []
    for reviewer in range(len(DRAFTS)):
        shown = labels(DRAFTS, reviewer=reviewer, seed=seed)
        lovers.append(Ballot(f"lover-{reviewer}", tuple(shown[each] for each in sorted(shown))))

    alone = tally(DRAFTS, lovers, authors=authors, seed=seed)
    with_all = tally(DRAFTS, [*ballots, *lovers], authors=authors, seed=seed)
    without = tally(DRAFTS, ballots, authors=authors, seed=seed)

    gained = {
        draft: with_all.borda[draft] * with_all.ballots - without.borda[draft] * without.ballots
        for draft in DRAFTS
    }
    assert len(set(alone.borda.values())) == 1
    assert max(gained.values()) - min(gained.values()) < 1e-6
