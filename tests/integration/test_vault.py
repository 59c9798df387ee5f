"""The vault on a real database and a real bus: keys come in sealed and go out on loan."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import stat
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import nats
import pytest
import pytest_asyncio
from msgspec import Struct
from msgspec.structs import replace

from contracts.attempts import LiveModel, ProbeResult
from contracts.failures import (
    Balance,
    Conflict,
    Evidence,
    FailureClass,
    Forbidden,
    IdempotencyMismatch,
    Internal,
    Invalid,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from contracts.keys import (
    KEY_EVENTS,
    AddKey,
    DescribeVault,
    DisableKey,
    Done,
    EnableKey,
    GetKey,
    Identity,
    Introspect,
    IssueToken,
    KeyAdded,
    KeyLease,
    KeyList,
    KeyState,
    KeyView,
    LeaseKey,
    ListKeys,
    ListTokens,
    PruneKeys,
    ReportKey,
    RevokeKey,
    RevokeToken,
    Rewrapped,
    RewrapVault,
    Role,
    RotateKey,
    TokenList,
    TokenView,
    VaultIdentity,
    VerifyKey,
)
from contracts.subjects import command_subject
from contracts.supply import ProbeKey
from services.key_vault import handover, tokens
from services.key_vault.aggregate import Add
from services.key_vault.at_rest import UnusableKek, WrongKek
from services.key_vault.identity import open_identity
from services.key_vault.inbox import Inbox
from services.key_vault.keks import Keks, given
from services.key_vault.projections import project
from services.key_vault.rewrapping import rewrap
from services.key_vault.sql import SCHEMA
from services.key_vault.store import Store
from services.key_vault.verification import Verification
from shared import topology
from shared.bus import Bus, Verb
from shared.database import Pool, transaction
from shared.ids import fresh
from shared.relay import Relay
from shared.sealing import (
    BadSignature,
    CannotOpen,
    RecipientKey,
    lease_info,
    rotation_info,
    seal,
    submission_info,
    verify,
)
from tests.brokers import Broker
from tests.databases import Database
from tests.eventually import eventually
from tests.nats_server import NatsServer
from tests.vaults import environment_of, running_vault

SECRET = "sk-" + "canary0Key1" * 4 + "abcd"
OTHER = "sk-" + "another2Key3" * 4
HERE = "https://api.moonshot.ai/v1"
SOON = timedelta(seconds=15)
ROOT = Path(__file__).parents[2]

T = TypeVar("T")

GOOD = ProbeResult(models=[LiveModel(id="kimi-k2.6"), LiveModel(id="kimi-k3")])
REFUSED = ProbeResult(
    failure=FailureClass.AUTH,
    evidence=Evidence(status=401, type="invalid_authentication_error"),
)
AWAY = ProbeResult(failure=FailureClass.TRANSIENT, evidence=Evidence(status=502))


@dataclass
class World:
    """The vault among its neighbours; discussion is played by a script."""

    store: Store
    verification: Verification
    edge: Bus
    adapter: Bus
    discussion: Bus
    says: ProbeResult = GOOD
    """What `GET /models` comes to."""
    asked: list[ProbeKey] = field(default_factory=list[ProbeKey])
    says_at: dict[str, ProbeResult] = field(default_factory=dict[str, ProbeResult])
    """The same, where it depends on the address."""
    meanwhile: Callable[[ProbeKey], Awaitable[None]] | None = None

    async def probe(self, question: ProbeKey) -> ProbeResult:
        self.asked.append(question)
        if self.meanwhile is not None:
            await self.meanwhile(question)
        return self.says_at.get(question.endpoint, self.says)

    # --- what the others ask ---

    async def add(self, secret: str = SECRET, **more: Any) -> KeyView:
        return await self.ask(self.edge, "add", await self.sealed(secret, **more), KeyView)

    async def sealed(self, secret: str, **more: Any) -> AddKey:
        vault = await self.ask(self.edge, "identity", DescribeVault(), VaultIdentity)
        wish: dict[str, Any] = {"workspace": "default", "request": "r1", "provider": "kimi", **more}
        info = submission_info(
            workspace=wish["workspace"], request=wish["request"], provider=wish["provider"]
        )
        sealed = seal(vault.sealing_key, secret.encode(), info)
        return AddKey(sealed_secret=sealed, **wish)

    async def rotate(self, key: KeyView, secret: str) -> KeyView:
        vault = await self.ask(self.edge, "identity", DescribeVault(), VaultIdentity)
        info = rotation_info(workspace="default", request="r9", key=key.id)
        wish = RotateKey(
            workspace="default",
            request="r9",
            key=key.id,
            sealed_secret=seal(vault.sealing_key, secret.encode(), info),
            by="owner",
        )
        return await self.ask(self.edge, "rotate", wish, KeyView)

    async def lease(
        self, lent: KeyView, to: RecipientKey, purpose: str = "attempt", **more: Any
    ) -> KeyLease:
        wish: dict[str, Any] = {
            "workspace": "default",
            "request": "attempt-1",
            "key": lent.id,
            "version": lent.version,
            "endpoint": lent.endpoint,
            "recipient": to.public,
            "purpose": purpose,
            **more,
        }
        return await self.ask(self.adapter, "lease", LeaseKey(**wish), KeyLease)

    async def report(self, key: KeyView, *, accepted: bool, version: int = 1) -> None:
        evidence = Evidence() if accepted else Evidence(status=401, type="incorrect_api_key_error")
        wish = ReportKey(
            workspace="default",
            key=key.id,
            version=version,
            accepted=accepted,
            attempt="a1",
            evidence=evidence,
        )
        await self.ask(self.discussion, "report", wish, Done)

    async def key(self, key: KeyView) -> KeyView:
        return await self.store.key("default", key.id)

    async def keys(self) -> list[KeyView]:
        return (await self.ask(self.edge, "list", ListKeys(workspace="default"), KeyList)).items

    async def ask(self, who: Bus, verb: str, command: Struct, answer: type[T]) -> T:
        return await who.request(command_subject("key_vault", verb), command, answer, within=SOON)


@pytest_asyncio.fixture
async def pool(database: Database) -> Pool:
    return await database.pool("key_vault", SCHEMA[1:])


@pytest_asyncio.fixture
async def world(pool: Pool, broker: Broker, tmp_path: Path) -> World:
    bus = await broker.bus("key_vault")
    store = Store(pool, await open_identity(pool, Keks(tmp_path / "kek")), lambda: None)
    verification = Verification(store, bus)
    await bus.serve("key_vault", Inbox(store, verification).verbs())
    made = World(
        store,
        verification,
        edge=await broker.bus("edge"),
        adapter=await broker.bus("provider_adapter"),
        discussion=await broker.bus("discussion"),
    )
    await made.discussion.serve("discussion", [Verb("probe", ProbeKey, made.probe)])
    return made


@pytest.fixture(autouse=True)
def no_address_of_the_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KIMI_BASE_URL", "KIMI_CN_BASE_URL", "KIMI_CODE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


# --- Adding ---------------------------------------------------------------------------------


async def test_a_good_key_is_active_at_once(world: World) -> None:
    key = await world.add(f" {SECRET}\n", label="team", by="owner")

    assert key.state is KeyState.ACTIVE
    assert key.endpoint == HERE
    assert key.region == "ai"
    assert key.label == "team"
    assert key.reason == "Spaces around it were removed."
    assert world.asked == [
        ProbeKey(workspace="default", provider="kimi", endpoint=HERE, key=key.id, version=1)
    ]
    assert await world.keys() == [replace(key, reason="")]


async def test_the_operators_address_is_where_the_key_belongs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIMI_BASE_URL", "http://127.0.0.1:9/v1/")
    # There, what a key looks like is the operator's matter: it is asked about, whatever its form.
    key = await world.add("sk-kimi-" + "a1" * 32)
    assert key.state is KeyState.ACTIVE
    assert key.endpoint == "http://127.0.0.1:9/v1"


async def test_a_bad_new_key_takes_no_good_ones_place(world: World) -> None:
    good = await world.add()
    world.says = REFUSED
    bad = await world.add(OTHER)

    assert bad.state is KeyState.QUARANTINED
    assert "refused the key (401 invalid_authentication_error)" in bad.reason
    assert "“cn” (api.moonshot.cn)" in bad.next_step
    assert (await world.key(good)).state is KeyState.ACTIVE


async def test_a_good_new_key_replaces_the_former_one(world: World) -> None:
    former = await world.add()
    new = await world.add(OTHER)

    assert new.state is KeyState.ACTIVE
    assert (await world.key(former)).state is KeyState.DISABLED
    assert new.id in (await world.key(former)).reason


async def test_keys_of_one_account_are_told_apart_from_others_and_say_so(world: World) -> None:
    mine = ProbeResult(models=GOOD.models, account="hash of the one")
    world.says = mine
    first = await world.add()
    second = await world.add(OTHER, pool=True, request="r2")
    assert (second.pool, second.state) == (True, KeyState.ACTIVE)
    assert second.account == first.account
    assert second.account.startswith("acct-")
    assert "hash" not in second.account
    assert second.shares_limits_with == [first.id]
    assert [key.shares_limits_with for key in await world.keys()] == [[first.id], [second.id]]

    world.says = GOOD  # this one does not tell
    third = await world.add("sk-third-" + "t" * 30, pool=True, request="r3")
    assert third.shares_limits_with == []
    # Its first answer does; it is of another account.
    wish = ReportKey(
        workspace="default", key=third.id, version=1, accepted=None, attempt="a", account="other"
    )
    await world.ask(world.discussion, "report", wish, Done)
    assert (await world.key(third)).account not in {first.account, third.account}
    assert not (await world.key(third)).proven
    # Who goes out of use shares nothing any more.
    await world.ask(world.edge, "disable", DisableKey(workspace="default", key=first.id), KeyView)
    assert (await world.key(second)).shares_limits_with == []


async def test_a_persons_verification_tells_the_balance(world: World) -> None:
    key = await world.add()
    verify_it = VerifyKey(workspace="default", key=key.id)
    assert [question.balance for question in world.asked] == [False]
    empty = Balance(amount="0.00", currency="USD", enough=False)
    world.says = ProbeResult(models=GOOD.models, balance=empty)
    told = await world.ask(world.edge, "verify", verify_it, KeyView)
    assert world.asked[-1].balance
    assert told.state is KeyState.ACTIVE
    assert told.reason == "The account's balance is 0.00 USD."
    assert "Top up the account" in told.next_step
    assert await world.key(key) == told  # the list says so, too

    full = Balance(amount="20.00", currency="USD", enough=True)
    wish = ReportKey(
        workspace="default", key=key.id, version=1, accepted=None, attempt="", balance=full
    )
    await world.ask(world.discussion, "report", wish, Done)
    assert (await world.key(key)).reason == ""
    world.says = ProbeResult(models=GOOD.models, balance=full)
    told = await world.ask(world.edge, "verify", verify_it, KeyView)
    assert (told.reason, told.next_step) == ("The account's balance is 20.00 USD.", "")
    assert (await world.key(key)).reason == ""


async def test_a_key_of_another_product_is_not_sent_to_this_one(world: World) -> None:
    key = await world.add("sk-kimi-" + "a1" * 32)
    assert key.state is KeyState.QUARANTINED
    assert "“code”" in key.next_step
    assert world.asked == []


async def test_a_key_that_nobody_could_ask_about_is_kept_and_says_so(world: World) -> None:
    world.says = AWAY
    key = await world.add()
    assert key.state is KeyState.PENDING
    assert "502" in key.reason
    assert key.next_step

    world.says = GOOD
    again = await world.ask(
        world.edge, "verify", VerifyKey(workspace="default", key=key.id), KeyView
    )
    assert again.state is KeyState.ACTIVE
    assert again.reason == ""


async def test_the_same_key_twice_is_refused_naming_the_first(world: World) -> None:
    first = await world.add(label="team")
    with pytest.raises(Conflict) as refused:
        await world.add(f"Bearer {SECRET}")
    assert first.id in refused.value.problem.detail
    assert "team" in refused.value.problem.detail
    # Of another workspace nothing is said.
    assert (await world.add(workspace="other")).state is KeyState.ACTIVE


async def test_a_repeated_command_adds_one_key(world: World) -> None:
    keys = await asyncio.gather(*(world.add(idempotency_key="once") for _ in range(4)))
    assert len({key.id for key in keys}) == 1
    assert len(await world.keys()) == 1
    changes: list[tuple[str, dict[str, Any]]] = [
        (OTHER, {}),
        (SECRET, {"label": "another"}),
        (SECRET, {"provider": "deepseek"}),
        (SECRET, {"region": "cn"}),
        (SECRET, {"pool": True}),
    ]
    for secret, other in changes:
        with pytest.raises(IdempotencyMismatch) as refused:
            await world.add(secret, **other, idempotency_key="once")
        assert refused.value.status == 422
    assert await world.add(idempotency_key="once") == keys[0]


async def test_a_repeated_command_shows_the_key_to_nobody_again(world: World) -> None:
    world.says_at = {HERE: REFUSED}
    first = await world.add(region="auto", idempotency_key="once")
    world.asked.clear()
    again = await world.add(region="auto", idempotency_key="once")
    assert (again.id, again.state, again.endpoint) == (first.id, first.state, first.endpoint)
    assert world.asked == []


async def test_one_key_is_read_by_its_id(world: World) -> None:
    key = await world.add(label="team")
    assert await world.ask(world.edge, "get", GetKey(workspace="default", key=key.id), KeyView) == (
        await world.key(key)
    )
    with pytest.raises(NotFound):
        await world.ask(world.edge, "get", GetKey(workspace="other", key=key.id), KeyView)


async def test_of_twenty_keys_at_once_the_last_one_is_active(world: World) -> None:
    secrets = [f"sk-{number:02}-{'x' * 40}" for number in range(20)]
    await asyncio.gather(*(world.add(secret) for secret in secrets))
    assert len(await world.keys()) == 20
    # Whatever the order of the verifications, no earlier key puts out the one added last.
    async with world.store.pool.acquire() as conn:
        facts = await world.store.journal.read_all(conn, after=0, limit=1_000)
    last = [fact.event.key for fact in facts if isinstance(fact.event, KeyAdded)][-1]
    assert (await world.store.key("default", last)).state is KeyState.ACTIVE


async def test_what_is_no_key_is_refused_with_the_reason(world: World) -> None:
    for secret, provider, region in (
        ("sk-with space", "kimi", None),
        (SECRET, "kimmi", None),
        (SECRET, "local", None),
        (SECRET, "kimi", "us"),
    ):
        with pytest.raises(Invalid):
            await world.add(secret, provider=provider, region=region)
    assert await world.keys() == []


async def test_a_secret_sealed_for_another_request_is_not_opened(world: World) -> None:
    sealed = await world.sealed(SECRET)
    stolen = AddKey(
        workspace="default", request="r2", provider="kimi", sealed_secret=sealed.sealed_secret
    )
    with pytest.raises(Invalid, match="was not taken in"):
        await world.ask(world.edge, "add", stolen, KeyView)


# --- Lending --------------------------------------------------------------------------------


async def test_a_loan_opens_for_its_recipient_and_its_request_only(world: World) -> None:
    key = await world.add()
    me = RecipientKey.generate()
    lease = await world.lease(key, me)
    vault = await world.ask(world.adapter, "identity", DescribeVault(), VaultIdentity)
    info = lease_info(
        workspace="default", request="attempt-1", key=key.id, version=1, endpoint=HERE
    )
    another = lease_info(
        workspace="default", request="attempt-2", key=key.id, version=1, endpoint=HERE
    )

    verify(vault.signing_key, lease.signature, lease.sealed, info)
    assert me.open(lease.sealed, info) == SECRET.encode()
    assert datetime.now(UTC) < lease.expires_at <= datetime.now(UTC) + timedelta(minutes=5)
    with pytest.raises(CannotOpen):
        RecipientKey.generate().open(lease.sealed, info)
    with pytest.raises(CannotOpen):
        me.open(lease.sealed, another)
    with pytest.raises(BadSignature):
        verify(vault.signing_key, lease.signature, lease.sealed, another)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"endpoint": "https://evil.example/v1"}, Forbidden),
        ({"version": 2}, Conflict),
        ({"workspace": "other"}, NotFound),
        ({"key": "k7"}, NotFound),
        ({"recipient": b"short"}, Invalid),
    ],
)
async def test_a_loan_is_for_exactly_this_key(
    world: World, change: dict[str, Any], refusal: type[Exception]
) -> None:
    key = await world.add()
    with pytest.raises(refusal):
        await world.lease(key, RecipientKey.generate(), **change)


async def test_a_key_that_is_not_trusted_is_lent_for_probes_only(world: World) -> None:
    world.says = REFUSED
    key = await world.add()
    me = RecipientKey.generate()
    with pytest.raises(Conflict) as refused:
        await world.lease(key, me)
    assert refused.value.problem.type == "key-quarantined"
    assert refused.value.problem.next_step
    assert await world.lease(key, me, "probe")


async def test_a_replaced_key_is_lent_to_nobody(world: World) -> None:
    former = await world.add()
    await world.add(OTHER)
    for purpose in ("attempt", "probe"):
        with pytest.raises(Conflict):
            await world.lease(former, RecipientKey.generate(), purpose)


async def test_every_loan_is_written_down_or_there_is_none(world: World, pool: Pool) -> None:
    key = await world.add()
    await world.lease(key, RecipientKey.generate())
    rows = await pool.fetch("SELECT key, version, endpoint, request, purpose FROM leases")
    assert [tuple(row.values()) for row in rows] == [(key.id, 1, HERE, "attempt-1", "attempt")]

    await pool.execute("ALTER TABLE leases RENAME TO gone")
    with pytest.raises(Internal):
        await world.lease(key, RecipientKey.generate())


async def test_a_secret_moved_to_another_key_is_not_lent(world: World, pool: Pool) -> None:
    mine = await world.add(workspace="mine", request="m")
    other = await world.add(OTHER, workspace="other", request="o")
    await pool.execute(
        "UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE key = $1) WHERE key = $2",
        other.id,
        mine.id,
    )
    with pytest.raises(Internal):
        await world.lease(mine, RecipientKey.generate(), workspace="mine")


# --- What attempts say ----------------------------------------------------------------------


async def test_a_key_that_never_worked_is_quarantined_at_its_first_refusal(world: World) -> None:
    key = await world.add()
    await world.report(key, accepted=False)
    assert (await world.key(key)).state is KeyState.QUARANTINED


async def test_a_key_that_has_worked_is_confirmed_once_before_it_is_put_away(
    world: World, pool: Pool
) -> None:
    key = await world.add()
    await world.report(key, accepted=True)
    assert (await world.key(key)).proven
    await world.report(key, accepted=False)
    assert (await world.key(key)).state is KeyState.SUSPECT
    due: timedelta = await pool.fetchval("SELECT due - now() FROM checks WHERE key = $1", key.id)
    assert timedelta(seconds=25) < due <= timedelta(seconds=60)

    world.says, world.asked = REFUSED, []
    await put_the_questions_now(world, pool)
    assert (await world.key(key)).state is KeyState.QUARANTINED
    assert len(world.asked) == 1
    # From now on it is asked about by a schedule, and rarely.
    assert await pool.fetchval("SELECT due - now() > interval '50 minutes' FROM checks")


async def test_a_refused_key_is_asked_about_ever_more_rarely_and_may_come_back(
    world: World, pool: Pool
) -> None:
    world.says = REFUSED
    key = await world.add()
    pauses: list[timedelta] = []
    for _ in range(7):
        await put_the_questions_now(world, pool)
        assert len(world.asked) == 1
        pauses.append(await pool.fetchval("SELECT due - now() FROM checks"))
    hours = [round(pause / timedelta(hours=1)) for pause in pauses]
    assert hours == [2, 4, 8, 16, 24, 24, 24]
    world.says = GOOD
    await put_the_questions_now(world, pool)
    assert (await world.key(key)).state is KeyState.ACTIVE
    assert await pool.fetchval("SELECT count(*) FROM checks") == 0


async def test_after_a_month_a_refused_key_is_left_alone(world: World, pool: Pool) -> None:
    world.says = REFUSED
    await world.add()
    await pool.execute("UPDATE checks SET tries = 29")
    await put_the_questions_now(world, pool)
    assert await pool.fetchval("SELECT count(*) FROM checks") == 0


async def test_about_one_key_only_one_asks_at_a_time(world: World, pool: Pool) -> None:
    key = await world.add()
    world.asked.clear()
    others: list[asyncio.Task[KeyView]] = []
    verify_it = VerifyKey(workspace="default", key=key.id)

    async def meanwhile(_question: ProbeKey) -> None:
        for _ in range(3):
            asking = world.ask(world.edge, "verify", verify_it, KeyView)
            others.append(asyncio.create_task(asking))
        # Another replica of the vault, with a schedule of its own.
        await pool.execute("INSERT INTO checks VALUES ($1, 'default', now())", key.id)
        await Verification(world.store, world.discussion).put_due()

    world.meanwhile = meanwhile
    world.says = REFUSED
    told = await world.ask(world.edge, "verify", verify_it, KeyView)
    assert told.state is KeyState.QUARANTINED
    assert {each.state for each in await asyncio.gather(*others)} == {KeyState.QUARANTINED}
    assert len(world.asked) == 1


async def test_who_died_while_asking_is_not_waited_for(world: World, pool: Pool) -> None:
    key = await world.add()
    await pool.execute("INSERT INTO questions VALUES ($1, now() - interval '1 second')", key.id)
    world.asked.clear()
    await world.ask(world.edge, "verify", VerifyKey(workspace="default", key=key.id), KeyView)
    assert len(world.asked) == 1
    assert await pool.fetchval("SELECT count(*) FROM questions") == 0


async def test_a_suspect_that_the_provider_takes_goes_on(world: World, pool: Pool) -> None:
    key = await world.add()
    await world.report(key, accepted=True)
    await world.report(key, accepted=False)
    await put_the_questions_now(world, pool)
    assert (await world.key(key)).state is KeyState.ACTIVE


async def test_a_suspect_is_asked_about_until_there_is_an_answer(world: World, pool: Pool) -> None:
    key = await world.add()
    await world.report(key, accepted=True)
    await world.report(key, accepted=False)
    world.says = AWAY
    await put_the_questions_now(world, pool)
    assert (await world.key(key)).state is KeyState.SUSPECT
    assert await pool.fetchval("SELECT due > now() FROM checks WHERE key = $1", key.id)


async def test_a_late_word_about_another_version_changes_nothing(world: World) -> None:
    key = await world.add()
    await world.report(key, accepted=False, version=7)
    assert await world.key(key) == replace(key, reason="")


# --- A new secret ---------------------------------------------------------------------------


async def lent(world: World, key: KeyView, purpose: str = "attempt") -> str:
    """The secret that the adapter gets."""
    me = RecipientKey.generate()
    lease = await world.lease(key, me, purpose)
    info = lease_info(
        workspace="default",
        request="attempt-1",
        key=key.id,
        version=key.version,
        endpoint=key.endpoint,
    )
    return me.open(lease.sealed, info).decode()


async def test_a_new_secret_replaces_the_former_one_once_it_is_verified(
    world: World, pool: Pool
) -> None:
    key = await world.add()
    await world.report(key, accepted=True)
    tried: list[str] = []

    async def look(question: ProbeKey) -> None:
        on_trial = replace(key, version=question.version)
        tried.append(await lent(world, on_trial, "probe"))
        with pytest.raises(Conflict):  # for probes only
            await world.lease(on_trial, RecipientKey.generate())
        assert await lent(world, key) == SECRET  # which stays in use meanwhile

    world.meanwhile = look
    new = await world.rotate(key, f" {OTHER}")

    assert tried == [OTHER]
    assert new.state is KeyState.ACTIVE
    assert new.version == 2
    assert not new.proven
    assert new.fingerprint != key.fingerprint
    assert new.reason == "Spaces around it were removed."
    assert await lent(world, new) == OTHER
    with pytest.raises(Conflict):
        await world.lease(key, RecipientKey.generate())
    assert await pool.fetchval("SELECT array_agg(version) FROM secrets") == [2]
    assert await pool.fetchval("SELECT count(*) FROM trials WHERE sealed IS NOT NULL") == 0
    # What is said of version 1 now is not about this secret.
    await world.report(key, accepted=False, version=1)
    assert (await world.key(key)).state is KeyState.ACTIVE
    # The same again is the same.
    assert await world.rotate(new, OTHER) == await world.key(new)


async def test_a_bad_new_secret_leaves_the_good_one_in_use(world: World, pool: Pool) -> None:
    key = await world.add()
    for says, refusal in ((REFUSED, Invalid), (AWAY, Unavailable)):
        world.says = says
        with pytest.raises(refusal) as refused:
            await world.rotate(key, OTHER)
        assert "The former secret stays in use." in refused.value.problem.detail
        assert refused.value.problem.next_step
    assert [question.version for question in world.asked] == [1, 2, 3]
    assert await world.key(key) == key
    assert await lent(world, key) == SECRET
    assert await pool.fetchval("SELECT count(*) FROM secrets") == 1
    assert await pool.fetchval("SELECT count(*) FROM trials WHERE sealed IS NOT NULL") == 0


async def test_a_new_secret_brings_a_quarantined_key_back(world: World) -> None:
    world.says = REFUSED
    key = await world.add()
    world.says = GOOD
    assert (await world.rotate(key, OTHER)).state is KeyState.ACTIVE


async def test_many_rotations_at_once_leave_one_whole_key(world: World) -> None:
    key = await world.add()
    secrets = [f"sk-{number}-{'r' * 40}" for number in range(6)]
    done = await asyncio.gather(
        *(world.rotate(key, secret) for secret in secrets), return_exceptions=True
    )
    assert all(isinstance(one, KeyView | Conflict) for one in done)
    now = await world.key(key)
    assert await lent(world, now) in secrets
    assert world.store.identity.fingerprint(await lent(world, now)) == now.fingerprint


# --- By hand --------------------------------------------------------------------------------


async def test_a_disabled_key_is_lent_to_nobody_until_it_is_enabled(world: World) -> None:
    key = await world.add()
    about: dict[str, Any] = {"workspace": "default", "key": key.id, "by": "owner"}
    off = await world.ask(world.edge, "disable", DisableKey(**about), KeyView)
    assert off.state is KeyState.DISABLED
    assert off.next_step
    for purpose in ("attempt", "probe"):
        with pytest.raises(Conflict):
            await world.lease(key, RecipientKey.generate(), purpose)

    on = await world.ask(world.edge, "enable", EnableKey(**about), KeyView)
    assert on.state is KeyState.ACTIVE
    await world.ask(world.edge, "disable", DisableKey(**about), KeyView)
    world.says = REFUSED
    bad = await world.ask(world.edge, "enable", EnableKey(**about), KeyView)
    assert bad.state is KeyState.QUARANTINED
    assert bad.next_step


async def test_a_revoked_keys_secret_is_gone(world: World, pool: Pool) -> None:
    key = await world.add()
    about: dict[str, Any] = {"workspace": "default", "key": key.id, "by": "owner"}
    gone = await world.ask(world.edge, "revoke", RevokeKey(**about), KeyView)
    assert gone.state is KeyState.REVOKED
    assert await pool.fetchval("SELECT count(*) FROM secrets") == 0
    for verb, wish in (("enable", EnableKey(**about)), ("disable", DisableKey(**about))):
        with pytest.raises(Conflict):
            await world.ask(world.edge, verb, wish, KeyView)
    with pytest.raises(Conflict):
        await world.rotate(key, OTHER)
    assert (await world.add()).state is KeyState.ACTIVE  # the same secret, as a new key


async def test_pruning_leaves_what_is_of_use(world: World, pool: Pool) -> None:
    await world.add()
    good = await world.add(OTHER)
    world.says = REFUSED
    await world.add("sk-" + "bad" * 15)
    assert len(await world.keys()) == 3

    wish = PruneKeys(workspace="default", by="owner")
    pruned = await world.ask(world.edge, "prune", wish, KeyList)
    assert {key.state for key in pruned.items} == {KeyState.DISABLED, KeyState.QUARANTINED}
    assert [key.id for key in await world.keys()] == [good.id]
    assert await pool.fetchval("SELECT count(*) FROM secrets") == 1
    assert (await world.ask(world.edge, "prune", wish, KeyList)).items == []


# --- A key whose region nobody has named ----------------------------------------------------

THERE = "https://api.moonshot.cn/v1"


async def test_without_consent_no_second_host_sees_the_key(world: World) -> None:
    world.says_at = {HERE: REFUSED}
    key = await world.add()
    assert key.state is KeyState.QUARANTINED
    assert {question.endpoint for question in world.asked} == {HERE}


async def test_with_consent_the_key_belongs_to_the_host_that_takes_it(world: World) -> None:
    world.says_at = {HERE: REFUSED}
    key = await world.add(region="auto")
    assert (key.state, key.region, key.endpoint) == (KeyState.ACTIVE, "cn", THERE)
    assert "api.moonshot.ai refused the key, api.moonshot.cn took it" in key.reason
    assert [question.endpoint for question in world.asked] == [HERE, THERE]
    assert await lent(world, key) == SECRET


async def test_where_the_first_host_takes_the_key_no_other_sees_it(world: World) -> None:
    key = await world.add(region="auto")
    assert (key.state, key.endpoint) == (KeyState.ACTIVE, HERE)
    assert [question.endpoint for question in world.asked] == [HERE]


async def test_a_key_that_neither_host_takes_says_so(world: World, pool: Pool) -> None:
    world.says = REFUSED
    key = await world.add(region="auto")
    assert (key.state, key.endpoint) == (KeyState.QUARANTINED, HERE)
    assert "Neither api.moonshot.ai" in key.reason
    assert [question.endpoint for question in world.asked] == [HERE, THERE]
    assert await pool.fetchval("SELECT count(*) FROM trials WHERE sealed IS NOT NULL") == 0


async def test_an_address_of_the_operators_has_no_other_region(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIMI_BASE_URL", "http://127.0.0.1:9/v1")
    world.says = REFUSED
    await world.add(region="auto")
    assert [question.endpoint for question in world.asked] == ["http://127.0.0.1:9/v1"]


async def put_the_questions_now(world: World, pool: Pool) -> None:
    """As if the time had come."""
    world.asked = []
    await pool.execute("UPDATE checks SET due = now()")
    await world.verification.put_due()


# --- Tokens ---------------------------------------------------------------------------------


async def test_the_first_start_leaves_one_owner(world: World, tmp_path: Path) -> None:
    file = tmp_path / "owner-token"
    await asyncio.gather(*(tokens.ensure_owner(world.store, file) for _ in range(3)))
    token = file.read_text().strip()

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token.startswith("parley_")
    assert len(token) == len("parley_") + 43
    who = await world.ask(
        world.edge, "introspect", Introspect(token_hash=tokens.hash_of(token)), Identity
    )
    assert (who.workspace, who.role) == ("default", Role.OWNER)
    assert await world.store.pool.fetchval("SELECT count(*) FROM tokens") == 1


async def test_an_operators_own_token_is_taken(world: World, tmp_path: Path) -> None:
    file = tmp_path / "owner-token"
    file.write_text("a-token-that-the-operator-chose\n")
    await tokens.ensure_owner(world.store, file)
    chosen = tokens.hash_of("a-token-that-the-operator-chose")
    assert (await tokens.introspect(world.store, chosen)).role is Role.OWNER


async def test_a_file_without_a_usable_token_stops_the_start(world: World, tmp_path: Path) -> None:
    file = tmp_path / "owner-token"
    file.write_text("short\n")
    with pytest.raises(tokens.UnusableTokenFile, match="Remove it"):
        await tokens.ensure_owner(world.store, file)


async def test_a_token_that_is_unknown_or_over_lets_nobody_in(world: World) -> None:
    with pytest.raises(Unauthenticated):
        await world.ask(world.edge, "introspect", Introspect(token_hash=b"x" * 32), Identity)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    async with transaction(world.store.pool) as conn:
        grant = tokens.Grant("default", Role.MEMBER, expires_at=yesterday)
        await tokens.issue(world.store, conn, "old-token", grant)
    with pytest.raises(Unauthenticated) as refused:
        await tokens.introspect(world.store, tokens.hash_of("old-token"))
    assert refused.value.problem.type == "token-expired"


async def test_tokens_are_issued_listed_and_revoked(world: World, tmp_path: Path) -> None:
    await tokens.ensure_owner(world.store, tmp_path / "owner-token")
    owner = (await listed(world))[0]
    assert (owner.role, owner.state) == (Role.OWNER, "valid")

    member = await issue(world, "member-token", Role.MEMBER, label="Ada")
    assert (member.state, member.label, member.issued_by) == ("valid", "Ada", "me")
    hashed = Introspect(token_hash=tokens.hash_of("member-token"))
    who = await world.ask(world.edge, "introspect", hashed, Identity)
    assert (who.token, who.role) == (member.id, Role.MEMBER)

    await revoke(world, member.id)
    await revoke(world, member.id)
    with pytest.raises(Unauthenticated):
        await world.ask(world.edge, "introspect", hashed, Identity)
    assert [token.state for token in await listed(world)] == ["revoked", "valid"]
    with pytest.raises(NotFound):
        await revoke(world, "t7")


async def test_nobody_grants_or_takes_more_than_what_is_theirs(
    world: World, tmp_path: Path
) -> None:
    await tokens.ensure_owner(world.store, tmp_path / "owner-token")
    owner = (await listed(world))[0]
    with pytest.raises(Forbidden):
        await issue(world, "a", Role.OWNER, by_role=Role.ADMIN)
    with pytest.raises(Forbidden):
        await issue(world, "a", Role.VIEWER, by_role=Role.MEMBER)
    with pytest.raises(Forbidden):
        await revoke(world, owner.id, by_role=Role.ADMIN)
    with pytest.raises(Conflict) as refused:
        await revoke(world, owner.id)
    assert refused.value.problem.type == "last-owner"
    with pytest.raises(Invalid):
        await issue(world, "a", Role.VIEWER, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await issue(world, "second", Role.OWNER)
    await revoke(world, owner.id)


async def issue(world: World, token: str, role: Role, **more: Any) -> TokenView:
    wish: dict[str, Any] = {"workspace": "default", "by": "me", "by_role": Role.OWNER, **more}
    command = IssueToken(token_hash=tokens.hash_of(token), role=role, **wish)
    return await world.ask(world.edge, "issue_token", command, TokenView)


async def revoke(world: World, token: str, by_role: Role = Role.OWNER) -> None:
    wish = RevokeToken(workspace="default", token=token, by="me", by_role=by_role)
    await world.ask(world.edge, "revoke_token", wish, Done)


async def listed(world: World) -> list[TokenView]:
    wish = ListTokens(workspace="default")
    return (await world.ask(world.edge, "list_tokens", wish, TokenList)).items


# --- The environment's keys -----------------------------------------------------------------


async def test_keys_of_the_environment_are_taken_once_and_only_compared_later(
    world: World, pool: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    first = json.dumps({"keys": {"kimi": SECRET, "nobody": "x", "local": "y"}}).encode()
    assert await handover.take_over(world.store, first, {})
    (key,) = await world.keys()
    assert key.state is KeyState.PENDING
    assert key.label == "KIMI_API_KEY"
    await put_the_questions_now(world, pool)
    assert (await world.key(key)).state is KeyState.ACTIVE

    capsys.readouterr()
    assert not await handover.take_over(world.store, first, {})
    assert "is not the one in the vault" not in capsys.readouterr().out
    changed = json.dumps({"keys": {"kimi": OTHER}}).encode()
    assert not await handover.take_over(world.store, changed, {})
    said = capsys.readouterr().out
    assert "is not the one in the vault" in said
    assert OTHER not in said
    assert len(await world.keys()) == 1


async def test_a_start_without_keys_is_the_first_start_too(world: World) -> None:
    assert not await handover.take_over(world.store, b"", {})
    assert not await handover.take_over(
        world.store, json.dumps({"keys": {"kimi": SECRET}}).encode(), {}
    )
    assert await world.keys() == []


# --- The vault itself -----------------------------------------------------------------------


async def test_replicas_that_start_at_once_share_one_identity(pool: Pool, tmp_path: Path) -> None:
    kek = tmp_path / "kek"
    replicas = await asyncio.gather(*(open_identity(pool, Keks(kek)) for _ in range(6)))
    assert len({replica.public.sealing_key for replica in replicas}) == 1
    assert len({replica.public.signing_key for replica in replicas}) == 1
    assert len({replica.fingerprint(SECRET) for replica in replicas}) == 1


async def test_a_wrong_or_lost_kek_says_so_at_the_start(pool: Pool, tmp_path: Path) -> None:
    await open_identity(pool, Keks(tmp_path / "kek"))
    with pytest.raises(UnusableKek, match="backup"):
        await open_identity(pool, Keks(tmp_path / "lost"))
    assert not (tmp_path / "lost").exists()
    (tmp_path / "wrong").write_text(
        "parley-kek:1:" + base64.urlsafe_b64encode(b"w" * 32).decode().rstrip("=")
    )
    with pytest.raises(WrongKek, match="not the key that this database was encrypted with"):
        await open_identity(pool, Keks(tmp_path / "wrong"))


# --- Another KEK ----------------------------------------------------------------------------


async def rewrapped(world: World) -> Rewrapped:
    return await world.ask(world.edge, "rewrap", RewrapVault(by="owner"), Rewrapped)


async def kek_versions(pool: Pool) -> set[int]:
    """Those that anything is wrapped by."""
    rows = await pool.fetch(
        "SELECT sealed FROM identity UNION ALL SELECT sealed FROM secrets UNION ALL "
        "SELECT sealed FROM trials WHERE sealed IS NOT NULL"
    )
    return {int.from_bytes(row["sealed"][3:7], "big") for row in rows}


async def test_another_kek_wraps_everything_while_keys_are_lent(world: World, pool: Pool) -> None:
    keys = [
        await world.add(f"sk-{number:03}-{'x' * 40}", keep_others=True, request=f"r{number}")
        for number in range(60)
    ]
    file = world.store.identity.keks.file
    former = file.read_text()
    ciphertexts = await pool.fetch("SELECT substring(sealed FROM 68) FROM secrets ORDER BY key")
    told, secrets, _, _ = await asyncio.gather(
        rewrapped(world),
        asyncio.gather(*(lent(world, key) for key in keys)),
        world.add(OTHER, request="meanwhile", keep_others=True),
        world.rotate(keys[0], OTHER + "new"),
    )

    assert told.finished
    assert "destroyed" in told.detail
    assert "Back up" in told.next_step
    assert secrets == [f"sk-{number:03}-{'x' * 40}" for number in range(60)]
    assert await kek_versions(pool) == {2}
    assert former not in file.read_text()
    assert file.read_text().startswith("parley-kek:2:")
    # The secrets themselves were not touched: no plaintext was needed.
    after = await pool.fetch("SELECT substring(sealed FROM 68) FROM secrets ORDER BY key")
    assert after[1:60] == ciphertexts[1:]
    assert [await lent(world, await world.key(key)) for key in keys] == [
        OTHER + "new",
        *secrets[1:],
    ]
    # And again.
    assert (await rewrapped(world)).finished
    assert await kek_versions(pool) == {3}


async def test_whoever_dies_while_the_kek_is_changed_loses_nothing(
    pool: Pool, tmp_path: Path
) -> None:
    """After each step a new process finds everything readable, and goes on from there."""
    file = tmp_path / "kek"

    async def begun_anew() -> Store:
        return Store(pool, await open_identity(pool, Keks(file)), lambda: None)

    store = await begun_anew()
    names = [
        await store.add(
            "default",
            "kimi",
            Add(key=fresh(), region="ai", endpoint=HERE, fingerprint=str(number)),
            f"secret {number}",
        )
        for number in range(120)
    ]

    async def all_there(store: Store) -> bool:
        views = [await store.key("default", name) for name in names]
        found = [await store.secret(view, "default") for view in views]
        return found == [f"secret {number}" for number in range(120)]

    finished, steps = False, 0
    while not finished:
        steps += 1
        async with aclosing(rewrap(pool, store.identity.keks, begin=steps != 3)) as doing:
            for _ in range(2):  # killed after its second step
                finished = (await anext(doing)).finished
        store = await begun_anew()
        assert await all_there(store)
    assert steps > 2
    assert await kek_versions(pool) == {2}
    assert len(file.read_text().splitlines()) == 1


async def test_a_kek_made_by_who_died_before_using_it_is_the_next_one(
    world: World, pool: Pool
) -> None:
    key = await world.add()
    keks = world.store.identity.keks
    prepared = keks.add()
    assert await lent(world, key) == SECRET
    assert (await rewrapped(world)).finished
    assert keks.read() == (prepared,)
    assert await lent(world, key) == SECRET


async def test_a_secret_that_nobody_can_read_keeps_the_former_kek(world: World, pool: Pool) -> None:
    key = await world.add(OTHER)
    broken = await world.add(keep_others=True, request="r2")
    await pool.execute(
        "UPDATE secrets SET sealed = set_byte(sealed, 30, 255 - get_byte(sealed, 30)) "
        "WHERE key = $1",
        broken.id,
    )
    told = await rewrapped(world)
    assert not told.finished
    assert told.unreadable == [broken.id]
    assert broken.id in told.detail
    assert len(world.store.identity.keks.read()) == 2
    assert await lent(world, key) == OTHER
    await world.ask(world.edge, "revoke", RevokeKey(workspace="default", key=broken.id), KeyView)
    assert (await rewrapped(world)).finished
    assert len(world.store.identity.keks.read()) == 1


async def test_a_kek_of_the_operators_is_changed_by_handing_over_another(
    pool: Pool, tmp_path: Path
) -> None:
    one, two = (base64.b64encode(byte * 32).decode() for byte in (b"1", b"2"))

    async def started(current: str, former: str = "") -> Store:
        keks = Keks(tmp_path / "kek", given(current, former))
        return Store(pool, await open_identity(pool, keks), lambda: None)

    store = await started(one)
    add = Add(key="k1", region="ai", endpoint=HERE, fingerprint="f")
    await store.add("default", "kimi", add, SECRET)
    with pytest.raises(WrongKek, match="PARLEY_KEK is not the key"):
        await started(two)
    store = await started(two, one)
    key = await store.key("default", "k1")
    assert await store.secret(key, "default") == SECRET
    *_, last = [step async for step in rewrap(pool, store.identity.keks)]
    assert last.finished
    store = await started(two)
    assert await store.secret(key, "default") == SECRET
    # Back into a file of Parley's own.
    store = await started("", two)
    *_, last = [step async for step in rewrap(pool, store.identity.keks)]
    assert last.finished
    assert await (await started("")).secret(key, "default") == SECRET


async def test_the_tables_can_be_made_again_from_the_journal(world: World, pool: Pool) -> None:
    first = await world.add()
    await world.report(first, accepted=True)
    await world.report(first, accepted=False)
    await world.add(OTHER)
    world.says = REFUSED
    await world.add("sk-a-third-one-that-is-bad")
    before = await pool.fetch("SELECT * FROM keys ORDER BY key")
    async with transaction(pool) as conn:
        await conn.execute("TRUNCATE keys, tokens")
        facts = await world.store.journal.read_all(conn, after=0, limit=1_000)
        await project(conn, (fact.event for fact in facts))
    assert await pool.fetch("SELECT * FROM keys ORDER BY key") == before


async def test_the_others_hear_what_became_of_a_key(
    world: World, broker: Broker, database: Database
) -> None:
    relay = Relay(database.dsn("key_vault"), await broker.bus("key_vault"), "key_vault")
    running = asyncio.create_task(relay.run())
    key = await world.add()

    async def told() -> list[str]:
        stored = [KEY_EVENTS.decode(message.data) for message in await broker.stored("EVENTS")]
        names = [type(event).__name__ for event in stored]
        assert names[-1:] == ["KeyActivated"]
        assert all(getattr(event, "key", "") == key.id for event in stored)
        return names

    assert await eventually(told) == ["KeyAdded", "KeyVerified", "KeyActivated"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


# --- No plaintext anywhere ------------------------------------------------------------------


@pytest_asyncio.fixture
async def open_server(tmp_path: Path) -> AsyncGenerator[NatsServer]:
    """One where everybody hears everything."""
    server = NatsServer(tmp_path / "nats", open_to_all=True)
    await server.start()
    await topology.ensure(server.url, None)
    yield server
    await server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


async def test_a_key_in_the_clear_is_nowhere(
    database: Database, open_server: NatsServer, tmp_path: Path
) -> None:
    heard: list[bytes] = []

    async def hear(message: Any) -> None:
        heard.append(message.data + repr(message.headers).encode())

    spy = await nats.connect(open_server.url)  # pyright: ignore[reportUnknownMemberType]
    await spy.subscribe(">", cb=hear)  # pyright: ignore[reportUnknownMemberType]
    asked: list[ProbeKey] = []

    async def probe(question: ProbeKey) -> ProbeResult:
        asked.append(question)
        return GOOD

    discussion = await Bus.connect(open_server.url, service="discussion", seed_file=None)
    await discussion.serve("discussion", [Verb("probe", ProbeKey, probe)])
    edge = await Bus.connect(open_server.url, service="edge", seed_file=None)
    line = json.dumps({"keys": {"kimi": SECRET}}).encode() + b"\n"
    dsn = database.dsn("key_vault")
    async with running_vault(dsn, open_server.url, tmp_path, line) as vault:

        async def ready() -> VaultIdentity:
            assert vault.process.returncode is None, vault.log.read_text()
            try:  # the spy hears too, so nobody says at once that nobody answers
                return await edge.request(
                    command_subject("key_vault", "identity"),
                    DescribeVault(),
                    VaultIdentity,
                    within=timedelta(seconds=1),
                )
            except Exception as error:
                raise AssertionError(error) from error

        known = await eventually(ready, within=timedelta(seconds=30))

        async def adopted() -> bool:
            return await state_of(edge, "kimi") == {KeyState.ACTIVE}

        await eventually(adopted, within=timedelta(seconds=30))
        info = submission_info(workspace="default", request="r1", provider="kimi")
        wish = AddKey(
            workspace="default",
            request="r1",
            provider="kimi",
            sealed_secret=seal(known.sealing_key, OTHER.encode(), info),
        )
        added = await edge.request(command_subject("key_vault", "add"), wish, KeyView, within=SOON)
        me = RecipientKey.generate()
        await edge.request(
            command_subject("key_vault", "lease"),
            LeaseKey(
                workspace="default",
                request="a1",
                key=added.id,
                version=1,
                endpoint=added.endpoint,
                recipient=me.public,
                purpose="attempt",
            ),
            KeyLease,
            within=SOON,
        )
        # A refusal quotes nothing of what it refuses.
        broken = seal(known.sealing_key, OTHER.encode() + b" \x00", info)
        with pytest.raises(Invalid):
            await edge.request(
                command_subject("key_vault", "add"),
                AddKey(workspace="default", request="r1", provider="kimi", sealed_secret=broken),
                KeyView,
                within=SOON,
            )

        async def told() -> bool:
            return any(b"key_disabled" in message for message in heard)

        await eventually(told)
        process = vault.folder
        seen = {
            "environment": environment_of(process),
            "command line": (process / "cmdline").read_bytes(),
            "limits": (process / "limits").read_bytes(),
        }
    assert vault.process.returncode == 0, vault.log.read_text()
    await asyncio.gather(edge.drain(), discussion.drain(), spy.close())
    seen |= {
        "bus": b"\n".join(heard),
        "log": vault.log.read_bytes(),
        "database": await everything_in(dsn),
        "streams": b"".join(
            path.read_bytes() for path in open_server.folder.rglob("*") if path.is_file()
        ),
    }
    assert len(heard) > 10
    assert len(asked) == 2
    assert b"Max core file size        0                    0" in seen["limits"]
    token = (tmp_path / "owner-token").read_text().strip()
    for place, content in seen.items():
        for canary in (SECRET, OTHER, token):
            for form in forms_of(canary):
                assert form not in content, f"{canary[:6]}… in {place}"


async def state_of(edge: Bus, provider: str) -> set[KeyState]:
    keys = await edge.request(
        command_subject("key_vault", "list"),
        ListKeys(workspace="default", provider=provider),
        KeyList,
        within=SOON,
    )
    return {key.state for key in keys.items}


async def everything_in(dsn: str) -> bytes:
    """Each row of each table, as text; bytes appear in hex."""
    conn = await asyncpg.connect(dsn)
    try:
        tables = await conn.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
            " WHERE schemaname = 'key_vault'"
        )
        rows = [
            row["row"]
            for table in tables
            for row in await conn.fetch(f"SELECT t::text AS row FROM {table['name']} t")
        ]
    finally:
        await conn.close()
    assert len(tables) > 10
    assert rows
    return "\n".join(rows).encode()


def forms_of(secret: str) -> list[bytes]:
    raw = secret.encode()
    return [raw, raw.hex().encode(), base64.b64encode(raw).rstrip(b"=")[:-1]]
