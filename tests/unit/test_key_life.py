"""The life of a key: who may be used, who gives way to whom, and who is believed."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.failures import Evidence
from contracts.keys import (
    KeyAccountSeen,
    KeyActivated,
    KeyAdded,
    KeyDisabled,
    KeyEnabled,
    KeyNotRotated,
    KeyNotVerified,
    KeyProven,
    KeyQuarantined,
    KeyRemoved,
    KeyRevoked,
    KeyRotated,
    KeySuspected,
    KeyVerified,
)
from services.key_vault.aggregate import (
    Accepted,
    Active,
    Add,
    AlreadyHere,
    Command,
    Denied,
    Disable,
    Disabled,
    Enable,
    Judge,
    KeyRing,
    NoAnswer,
    NoSuchKey,
    NotAsItIs,
    Overtaken,
    Pending,
    Prune,
    Quarantined,
    Recognise,
    Rejected,
    Report,
    Revoke,
    Revoked,
    RingEvent,
    Rotate,
    Strand,
    Suspect,
    decide,
    evolve,
)
from tests.spec import Specification

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HERE = "https://api.moonshot.ai/v1"
BAD = Evidence(status=401, type="invalid_authentication_error")

ring: Specification[Command, KeyRing, RingEvent] = Specification(
    partial(decide, now=NOW), evolve, KeyRing("default", "kimi")
)


def about(key: str, version: int = 1) -> dict[str, Any]:
    return {
        "at": NOW,
        "workspace": "default",
        "provider": "kimi",
        "key": key,
        "version": version,
        "endpoint": HERE,
    }


def add(key: str, *, fingerprint: str = "", endpoint: str = HERE, keep_others: bool = False) -> Add:
    return Add(
        key=key,
        region="ai",
        endpoint=endpoint,
        fingerprint=fingerprint or f"of {key}",
        keep_others=keep_others,
    )


def added(key: str, *, fingerprint: str = "", keep_others: bool = False) -> KeyAdded:
    return KeyAdded(
        **about(key),
        region="ai",
        fingerprint=fingerprint or f"of {key}",
        keep_others=keep_others,
    )


def verified(key: str) -> KeyVerified:
    return KeyVerified(**about(key), models=3)


def activated(key: str) -> KeyActivated:
    return KeyActivated(**about(key), account=key)


def proven(key: str) -> KeyProven:
    return KeyProven(**about(key), attempt="a1")


def suspected(key: str, attempt: str = "") -> KeySuspected:
    return KeySuspected(
        **about(key), reason="refused", next_step="look", evidence=BAD, attempt=attempt
    )


def quarantined(key: str, attempt: str = "") -> KeyQuarantined:
    return KeyQuarantined(
        **about(key), reason="refused", next_step="look", evidence=BAD, attempt=attempt
    )


def not_verified(key: str, reason: str = "away") -> KeyNotVerified:
    return KeyNotVerified(**about(key), reason=reason, next_step="wait")


def replaced(key: str, by: str) -> KeyDisabled:
    return KeyDisabled(**about(key), cause="replaced", replaced_by=by)


accepted = Accepted(models=3)
denied = Denied("refused", "look", BAD)
away = NoAnswer("away", "wait")


def judge(key: str, verdict: Accepted | Denied | NoAnswer, version: int = 1) -> Judge:
    return Judge(key=key, version=version, verdict=verdict)


def report(key: str, verdict: Accepted | Denied, version: int = 1) -> Report:
    return Report(key=key, version=version, attempt="a9", verdict=verdict)


# --- Adding ---------------------------------------------------------------------------------


def test_a_new_key_waits_to_be_verified() -> None:
    ring.given().when(add("k1")).then(added("k1"))


def test_the_same_key_for_the_same_address_is_not_added_twice() -> None:
    (
        ring.given(added("k1", fingerprint="same"))
        .when(add("k2", fingerprint="same"))
        .then_rejected(AlreadyHere, key="k1")
    )


def test_the_same_key_for_another_address_is_another_key() -> None:
    there = "https://api.moonshot.cn/v1"
    elsewhere: dict[str, Any] = {**about("k2"), "endpoint": there}
    expected = KeyAdded(**elsewhere, region="ai", fingerprint="same")
    (
        ring.given(added("k1", fingerprint="same"))
        .when(add("k2", fingerprint="same", endpoint=there))
        .then(expected)
    )


def test_a_revoked_key_may_come_back_as_a_new_one() -> None:
    (
        ring.given(added("k1", fingerprint="same"), KeyRevoked(**about("k1")))
        .when(add("k2", fingerprint="same"))
        .then(added("k2", fingerprint="same"))
    )


# --- What a probe says ----------------------------------------------------------------------


def test_a_key_that_the_provider_takes_becomes_active() -> None:
    ring.given(added("k1")).when(judge("k1", accepted)).then(verified("k1"), activated("k1"))


def test_a_verified_new_key_replaces_the_former_one_and_never_leaves_a_gap() -> None:
    (
        ring.given(added("k1"), verified("k1"), activated("k1"), added("k2"))
        .when(judge("k2", accepted))
        .then(verified("k2"), activated("k2"), replaced("k1", by="k2"))
    )


def test_a_former_key_stays_if_that_was_asked_for() -> None:
    (
        ring.given(added("k1"), activated("k1"), added("k2", keep_others=True))
        .when(judge("k2", accepted))
        .then(verified("k2"), activated("k2"))
    )


def test_a_key_that_joins_a_pool_leaves_the_others_in_use() -> None:
    pooled = KeyAdded(**about("k2"), region="ai", fingerprint="of k2", pool=True)
    ring.given(added("k1"), activated("k1"), pooled).when(judge("k2", accepted)).then(
        verified("k2"), activated("k2")
    )


def test_the_account_that_a_provider_names_is_kept_for_this_version_of_the_key() -> None:
    seen = KeyAccountSeen(**about("k1"), account="acct-1")
    named = Recognise(key="k1", version=1, account="acct-1")
    ring.given(added("k1")).when(named).then(seen)
    ring.given(added("k1"), seen).when(named).then_nothing()
    ring.given(added("k1")).when(Recognise(key="k1", version=2, account="acct-1")).then_nothing()
    ring.given(added("k1"), seen).when(judge("k1", accepted)).then(
        verified("k1"), KeyActivated(**about("k1"), account="acct-1")
    )


def test_a_new_secret_is_taken_for_the_same_account_until_the_provider_names_another() -> None:
    seen = KeyAccountSeen(**about("k1"), account="acct-1")
    for told, account in (("", "acct-1"), ("acct-2", "acct-2")):
        wish = Rotate(key="k1", version=2, fingerprint="new", verdict=accepted, account=told)
        second = about("k1", version=2)
        ring.given(added("k1"), seen, activated_by(seen)).when(wish).then(
            KeyVerified(**second, models=3),
            KeyActivated(**second, account=account),
            KeyRotated(**second, fingerprint="new", account=account),
        )


def activated_by(seen: KeyAccountSeen) -> KeyActivated:
    return KeyActivated(**about(seen.key), account=seen.account)


def test_a_bad_new_key_takes_nobodys_place() -> None:
    (
        ring.given(added("k1"), activated("k1"), added("k2"))
        .when(judge("k2", denied))
        .then(quarantined("k2"))
    )


def test_a_key_that_nobody_could_ask_about_stays_pending_and_says_why() -> None:
    ring.given(added("k1")).when(judge("k1", away)).then(not_verified("k1"))


def test_the_same_reason_is_not_stated_twice() -> None:
    ring.given(added("k1"), not_verified("k1")).when(judge("k1", away)).then_nothing()
    ring.given(added("k1"), quarantined("k1")).when(judge("k1", denied)).then_nothing()


def test_a_quarantined_key_comes_back_when_it_is_verified() -> None:
    (
        ring.given(added("k1"), quarantined("k1"))
        .when(judge("k1", accepted))
        .then(verified("k1"), activated("k1"))
    )


def test_an_older_key_that_recovers_takes_no_newer_ones_place() -> None:
    (
        ring.given(added("k1"), quarantined("k1"), added("k2"), activated("k2"))
        .when(judge("k1", accepted))
        .then(verified("k1"), activated("k1"))
    )


def test_a_key_that_recovers_replaces_nobody_a_second_time() -> None:
    (
        ring.given(
            added("k1"),
            activated("k1"),
            added("k2", keep_others=True),
            activated("k2"),
            proven("k2"),
            suspected("k2"),
        )
        .when(judge("k2", accepted))
        .then(verified("k2"), activated("k2"))
    )


def test_verifying_an_active_key_changes_nothing_if_it_is_good() -> None:
    ring.given(added("k1"), activated("k1")).when(judge("k1", accepted)).then(verified("k1"))


@pytest.mark.parametrize(
    "end", [KeyRevoked(**about("k1")), KeyDisabled(**about("k1"), cause="by hand")]
)
def test_a_key_put_aside_by_a_person_is_not_brought_back_by_a_probe(end: RingEvent) -> None:
    for verdict in (accepted, denied, away):
        ring.given(added("k1"), activated("k1"), end).when(judge("k1", verdict)).then_nothing()


# --- What attempts say ----------------------------------------------------------------------


def test_the_first_completed_attempt_proves_a_key_once() -> None:
    in_use = (added("k1"), activated("k1"))
    ring.given(*in_use).when(report("k1", accepted)).then(KeyProven(**about("k1"), attempt="a9"))
    ring.given(*in_use, proven("k1")).when(report("k1", accepted)).then_nothing()


def test_a_key_that_never_worked_is_quarantined_at_its_first_refusal() -> None:
    (
        ring.given(added("k1"), activated("k1"))
        .when(report("k1", denied))
        .then(quarantined("k1", attempt="a9"))
    )


def test_a_key_that_has_worked_is_only_suspect_after_a_refusal() -> None:
    (
        ring.given(added("k1"), activated("k1"), proven("k1"))
        .when(report("k1", denied))
        .then(suspected("k1", attempt="a9"))
    )


def test_one_confirmation_decides_about_a_suspect() -> None:
    suspect = (added("k1"), activated("k1"), proven("k1"), suspected("k1"))
    ring.given(*suspect).when(judge("k1", denied)).then(quarantined("k1"))
    ring.given(*suspect).when(judge("k1", accepted)).then(verified("k1"), activated("k1"))
    ring.given(*suspect).when(judge("k1", away)).then_nothing()


def test_further_refusals_of_a_suspect_add_nothing() -> None:
    (
        ring.given(added("k1"), activated("k1"), proven("k1"), suspected("k1"))
        .when(report("k1", denied))
        .then_nothing()
    )


def test_a_late_word_about_version_1_does_not_touch_version_2() -> None:
    rotated = KeyRotated(**about("k1", version=2), fingerprint="new")
    history = (added("k1"), activated("k1"), proven("k1"), rotated)
    ring.given(*history).when(report("k1", denied, version=1)).then_nothing()
    ring.given(*history).when(judge("k1", denied, version=1)).then_nothing()


def test_a_new_version_has_yet_to_prove_itself() -> None:
    rotated = KeyRotated(**about("k1", version=2), fingerprint="new")
    (
        ring.given(added("k1"), activated("k1"), proven("k1"), rotated)
        .when(report("k1", denied, version=2))
        .then(
            KeyQuarantined(
                **about("k1", version=2),
                reason="refused",
                next_step="look",
                evidence=BAD,
                attempt="a9",
            )
        )
    )


def test_nothing_can_be_said_of_a_key_that_is_not_there() -> None:
    ring.given().when(judge("k7", accepted)).then_rejected(NoSuchKey, key="k7")
    ring.given().when(report("k7", denied)).then_rejected(NoSuchKey, key="k7")


# --- A new secret ---------------------------------------------------------------------------


def rotate(key: str, verdict: Accepted | Denied | NoAnswer = accepted, version: int = 2) -> Rotate:
    return Rotate(key=key, version=version, fingerprint="new", verdict=verdict, by="t1")


def rotated(key: str, version: int = 2, fingerprint: str = "new") -> tuple[RingEvent, ...]:
    at = about(key, version=version)
    return (
        KeyVerified(**at, models=3),
        KeyActivated(**at, account=key),
        KeyRotated(**at, fingerprint=fingerprint, account=key, rotated_by="t1"),
    )


@pytest.mark.parametrize(
    "history",
    [
        (activated("k1"),),
        (activated("k1"), proven("k1"), suspected("k1")),
        (quarantined("k1"),),
        (),
    ],
    ids=["active", "suspect", "quarantined", "pending"],
)
def test_a_new_secret_that_the_provider_takes_is_active_before_it_is_said_to_replace(
    history: tuple[RingEvent, ...],
) -> None:
    ring.given(added("k1"), *history).when(rotate("k1")).then(*rotated("k1"))


@pytest.mark.parametrize("verdict", [denied, away])
def test_a_bad_new_secret_never_replaces_the_good_one(verdict: Denied | NoAnswer) -> None:
    refused = KeyNotRotated(
        **about("k1", version=2),
        reason=verdict.reason,
        next_step=verdict.next_step,
        evidence=verdict.evidence,
        rotated_by="t1",
    )
    in_use = (added("k1"), activated("k1"), proven("k1"))
    ring.given(*in_use).when(rotate("k1", verdict)).then(refused)
    # It goes on as it was: version 1, and still believed for having worked.
    ring.given(*in_use, refused).when(report("k1", denied)).then(suspected("k1", attempt="a9"))


def test_a_key_that_gets_its_first_good_secret_replaces_the_former_one() -> None:
    (
        ring.given(added("k1"), activated("k1"), added("k2"), quarantined("k2"))
        .when(rotate("k2"))
        .then(*rotated("k2"), replaced("k1", by="k2"))
    )


def test_of_two_new_secrets_the_later_one_stays() -> None:
    history = (added("k1"), activated("k1"), *rotated("k1", version=3))
    ring.given(*history).when(rotate("k1", version=2)).then_rejected(Overtaken, version=3)
    ring.given(*history).when(rotate("k1", version=4)).then(*rotated("k1", version=4))


def test_a_key_that_was_put_aside_gets_no_new_secret() -> None:
    for end in (replaced("k1", by="k2"), KeyRevoked(**about("k1"))):
        (
            ring.given(added("k1"), activated("k1"), end)
            .when(rotate("k1"))
            .then_rejected(NotAsItIs, key="k1")
        )


def test_no_secret_is_in_the_ring_under_two_names() -> None:
    (
        ring.given(added("k1"), activated("k1"), added("k2", fingerprint="new"))
        .when(rotate("k1"))
        .then_rejected(AlreadyHere, key="k2")
    )


# --- By hand --------------------------------------------------------------------------------


def disabled(key: str) -> KeyDisabled:
    return KeyDisabled(**about(key), cause="by hand", disabled_by="t1")


def enabled(key: str) -> KeyEnabled:
    return KeyEnabled(**about(key), enabled_by="t1")


def revoked(key: str) -> KeyRevoked:
    return KeyRevoked(**about(key), revoked_by="t1")


def removed(key: str) -> KeyRemoved:
    return KeyRemoved(**about(key), removed_by="t1")


def test_a_disabled_key_waits_to_be_enabled() -> None:
    (ring.given(added("k1"), activated("k1")).when(Disable(key="k1", by="t1")).then(disabled("k1")))
    ring.given(added("k1"), disabled("k1")).when(Disable(key="k1", by="t1")).then_nothing()


def test_an_enabled_key_is_verified_before_it_is_used() -> None:
    history = (added("k1"), activated("k1"), disabled("k1"))
    ring.given(*history).when(Enable(key="k1", by="t1")).then(enabled("k1"))
    again = (*history, enabled("k1"))
    ring.given(*again).when(judge("k1", denied)).then(quarantined("k1"))
    ring.given(*again).when(judge("k1", accepted)).then(verified("k1"), activated("k1"))
    ring.given(*again).when(Enable(key="k1", by="t1")).then_nothing()


def test_a_replaced_key_that_is_enabled_again_takes_nobodys_place() -> None:
    (
        ring.given(
            added("k1"),
            activated("k1"),
            added("k2"),
            activated("k2"),
            replaced("k1", by="k2"),
            enabled("k1"),
        )
        .when(judge("k1", accepted))
        .then(verified("k1"), activated("k1"))
    )


def test_a_revoked_key_stays_revoked() -> None:
    ring.given(added("k1")).when(Revoke(key="k1", by="t1")).then(revoked("k1"))
    gone = (added("k1"), activated("k1"), revoked("k1"))
    ring.given(*gone).when(Revoke(key="k1", by="t1")).then_nothing()
    ring.given(*gone).when(Enable(key="k1")).then_rejected(NotAsItIs, key="k1")
    ring.given(*gone).when(Disable(key="k1")).then_rejected(NotAsItIs, key="k1")


def test_pruning_takes_away_what_is_dead_and_nothing_else() -> None:
    (
        ring.given(
            added("k1"),
            activated("k1"),
            added("k2"),
            activated("k2"),
            replaced("k1", by="k2"),
            added("k3"),
            quarantined("k3"),
            added("k4"),
            revoked("k4"),
            added("k5"),
            disabled("k5"),
            added("k6"),
        )
        .when(Prune(by="t1"))
        .then(
            revoked("k1"),
            removed("k1"),
            revoked("k3"),
            removed("k3"),
            removed("k4"),
        )
    )
    ring.given(added("k1"), revoked("k1"), removed("k1")).when(Prune(by="t1")).then_nothing()
    (
        ring.given(added("k1"), revoked("k1"), removed("k1"))
        .when(report("k1", denied))
        .then_rejected(NoSuchKey, key="k1")
    )


# --- Whatever happens -----------------------------------------------------------------------

names = st.sampled_from(["k1", "k2", "k3"])
verdicts = st.sampled_from([accepted, denied, away])
commands = st.one_of(
    st.builds(add, names, keep_others=st.booleans()),
    st.builds(judge, names, verdicts),
    st.builds(report, names, st.sampled_from([accepted, denied])),
    st.builds(rotate, names, verdicts, st.integers(2, 4)),
    st.builds(Strand, key=names, reason=st.just("It moved."), next_step=st.just("Rotate it.")),
    st.builds(Disable, key=names),
    st.builds(Enable, key=names),
    st.builds(Revoke, key=names),
    st.just(Prune()),
)


@given(wishes=st.lists(commands, max_size=30))
@settings(max_examples=200)
def test_no_order_of_things_lets_a_bad_key_push_out_a_good_one(wishes: list[Command]) -> None:
    state = KeyRing("default", "kimi")
    for wish in wishes:
        if isinstance(wish, Add) and wish.key in state.keys:
            continue  # no id is given twice
        before = {name for name, key in state.keys.items() if isinstance(key, Active)}
        try:
            events = decide(wish, state, now=NOW)
        except Rejected:
            continue
        for event in events:
            state = evolve(state, event)
            now_active = {name for name, key in state.keys.items() if isinstance(key, Active)}
            if isinstance(event, KeyDisabled) and event.cause == "replaced":
                assert event.replaced_by in now_active
        lost = before - {name for name, key in state.keys.items() if isinstance(key, Active)}
        for name in lost:
            key = state.keys[name]
            assert isinstance(key, Disabled | Suspect | Quarantined | Revoked)
            if isinstance(wish, Rotate):
                assert isinstance(wish.verdict, Accepted)
        for name, key in state.keys.items():
            assert key.record.key == name
            assert isinstance(key, Pending | Active | Suspect | Quarantined | Disabled | Revoked)
