"""The broker itself enforces who may say what: every subject is tried with every credential.

What is expected is written down here once more, by hand, from the design's table: a slip in the
declaration must not be able to hide behind itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from contracts.subjects import ADMIN, INTEGRATION, SERVICES, STREAMS, VERBS, inbox
from shared.bus import Bus
from shared.connection import Connection
from shared.message import Message
from shared.nats_client import NatsClient
from shared.topology import CREDENTIALS, permissions_of
from tests.eventually import eventually
from tests.nats_server import NatsServer, equipped

EDGE, VAULT, ADAPTER, DISCUSSION, PERSONA = (
    "edge",
    "key_vault",
    "provider_adapter",
    "discussion",
    "persona",
)
ALL_SERVICES = {EDGE, VAULT, ADAPTER, DISCUSSION, PERSONA}
NOBODY: set[str] = set()
SOON = timedelta(seconds=5)

# --- The design's table ---------------------------------------------------------------------

FACTS = {service: {service} for service in (VAULT, DISCUSSION, PERSONA)}

REQUESTS: Mapping[str, set[str]] = {
    "provider_adapter.attempt": {DISCUSSION},
    "provider_adapter.cancel": {DISCUSSION},
    "provider_adapter.probe": {DISCUSSION},
    "provider_adapter.anything-else": NOBODY,
    "key_vault.lease": {ADAPTER},
    "key_vault.identity": {ADAPTER, EDGE},
    "key_vault.report": {DISCUSSION},
    "key_vault.introspect": {EDGE},
    "key_vault.add": {EDGE},
    "key_vault.verify": {EDGE},
    "key_vault.rotate": {EDGE},
    "key_vault.disable": {EDGE},
    "key_vault.enable": {EDGE},
    "key_vault.revoke": {EDGE},
    "key_vault.prune": {EDGE},
    "key_vault.rewrap": {EDGE},
    "key_vault.get": {EDGE},
    "key_vault.issue_token": {EDGE},
    "key_vault.list_tokens": {EDGE},
    "key_vault.revoke_token": {EDGE},
    "key_vault.list": {EDGE, DISCUSSION},
    "key_vault.add_endpoint": {EDGE},
    "key_vault.change_endpoint": {EDGE},
    "key_vault.remove_endpoint": {EDGE},
    "key_vault.list_endpoints": {EDGE, DISCUSSION},
    "key_vault.anything-else": NOBODY,
    "discussion.open": {EDGE},
    "discussion.estimate": {EDGE},
    "discussion.cancel": {EDGE},
    "discussion.retry": {EDGE},
    "discussion.rename": {EDGE},
    "discussion.delete": {EDGE},
    "discussion.resolve": {EDGE},
    "discussion.fork": {EDGE},
    "discussion.post": {EDGE},
    "discussion.conclude": {EDGE},
    "discussion.pick": {EDGE},
    "discussion.get": {EDGE},
    "discussion.list": {EDGE},
    "discussion.history": {EDGE},
    "discussion.models": {EDGE},
    "discussion.refresh": {EDGE},
    "discussion.providers": {EDGE},
    "discussion.limits": {EDGE},
    "discussion.usage": {EDGE},
    "discussion.budgets": {EDGE},
    "discussion.set_budget": {EDGE},
    "discussion.remove_budget": {EDGE},
    "discussion.workflows": {EDGE},
    "discussion.get_workflow": {EDGE},
    "discussion.define_workflow": {EDGE},
    "discussion.revise_workflow": {EDGE},
    "discussion.archive_workflow": {EDGE},
    "discussion.start_run": {EDGE},
    "discussion.runs": {EDGE},
    "discussion.get_run": {EDGE},
    "discussion.run_history": {EDGE},
    "discussion.answer_gate": {EDGE},
    "discussion.cancel_run": {EDGE},
    "discussion.fork_run": {EDGE},
    "discussion.delete_run": {EDGE},
    "discussion.probe": {VAULT},
    "persona.get": {EDGE, DISCUSSION},
    "persona.list": {EDGE},
    "persona.seed": {EDGE},
    "persona.create": {EDGE},
    "persona.revise": {EDGE},
    "persona.archive": {EDGE},
    "persona.import": {EDGE},
    "edge.anything": NOBODY,
}

JETSTREAM: Mapping[str, set[str]] = {
    "$JS.API.CONSUMER.MSG.NEXT.OUTCOMES.discussion-outcomes": {DISCUSSION, ADMIN},
    "$JS.API.CONSUMER.MSG.NEXT.EVENTS.discussion-keys": {DISCUSSION, ADMIN},
    "$JS.ACK.OUTCOMES.discussion-outcomes.1.1.1.1.0": {DISCUSSION},
    "$JS.ACK.EVENTS.discussion-keys.1.1.1.1.0": {DISCUSSION},
    "$JS.ACK.OUTCOMES.another.1.1.1.1.0": NOBODY,
    "$JS.API.DIRECT.GET.CHUNKS": {EDGE, DISCUSSION, ADMIN},
    "$JS.API.DIRECT.GET.CHUNKS.parley.chunk.w.d.a": {EDGE, DISCUSSION, ADMIN},
    "$JS.API.DIRECT.GET.EVENTS": {ADMIN},
    "$JS.API.DIRECT.GET.OUTCOMES": {ADMIN},
    "$JS.API.DIRECT.GET.OUTCOMES.parley.outcome.w.d.a": {DISCUSSION, ADMIN},
    "$JS.API.STREAM.CREATE.CHUNKS": {DISCUSSION, ADMIN},
    "$JS.API.STREAM.CREATE.EVENTS": {ADMIN},
    "$JS.API.STREAM.CREATE.OTHER": {ADMIN},
    "$JS.API.STREAM.INFO.EVENTS": {ADMIN},
    "$JS.API.STREAM.UPDATE.CHUNKS": {ADMIN},
    "$JS.API.STREAM.PURGE.NONE": {ADMIN},
    "$JS.API.STREAM.PURGE.EVENTS": {DISCUSSION, ADMIN},
    "$JS.API.STREAM.PURGE.CHUNKS": {DISCUSSION, ADMIN},
    "$JS.API.STREAM.PURGE.OUTCOMES": {ADMIN},
    "$JS.API.STREAM.DELETE.NONE": {ADMIN},
    "$JS.API.STREAM.MSG.GET.EVENTS": {ADMIN},
    "$JS.API.STREAM.MSG.DELETE.NONE": {ADMIN},
    "$JS.API.CONSUMER.CREATE.EVENTS": {ADMIN},
    "$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.x": {ADMIN},
    "$JS.API.CONSUMER.DELETE.NONE.x": {ADMIN},
    "$JS.API.INFO": {ADMIN},
}

MAY_SAY: Mapping[str, set[str]] = {
    **{f"parley.event.w.{name}.i.E": FACTS.get(name, NOBODY) for name in (*ALL_SERVICES, "x")},
    **{f"parley.cmd.{name}": askers for name, askers in REQUESTS.items()},
    "parley.chunk.w.d.a": {ADAPTER},
    "parley.outcome.w.d.a": {ADAPTER},
    "parley.quarantine.OUTCOMES.discussion-outcomes.1": {DISCUSSION},
    "parley.quarantine.EVENTS.discussion-keys.1": {DISCUSSION},
    "parley.quarantine.OUTCOMES.another.1": NOBODY,
    "parley.anything": NOBODY,
    "parley": NOBODY,
    "anything": NOBODY,
    **JETSTREAM,
    **{f"$SRV.PING.{name}": {EDGE, ADMIN} for name in ALL_SERVICES},
    "$SRV.PING": {ADMIN},
    "$SRV.INFO": {ADMIN},
    "$SRV.STATS": {ADMIN},
    "$SRV.INFO.edge": {ADMIN},
    "$SRV.STATS.edge.id": {ADMIN},
    "$SYS.REQ.SERVER.PING": NOBODY,
    "_INBOX.x": NOBODY,
    # The edge answers its own ping and the administrator's; no one else into another's inbox.
    **{f"{inbox(name)}.x": NOBODY for name in CREDENTIALS if name not in {EDGE, ADMIN}},
    f"{inbox(EDGE)}.x": {EDGE},
    f"{inbox(ADMIN)}.x": {EDGE},
}

READERS = {ADMIN, INTEGRATION}

MAY_HEAR: Mapping[str, set[str]] = {
    "parley.event.>": READERS,
    "parley.event.*.discussion.>": {EDGE, *READERS},
    "parley.event.*.key_vault.>": {EDGE, ADAPTER, *READERS},
    "parley.event.*.persona.>": READERS,
    "parley.chunk.>": {EDGE, *READERS},
    "parley.chunk.w.d.*": {EDGE, *READERS},
    "parley.outcome.>": READERS,
    "parley.quarantine.>": {ADMIN},
    **{f"parley.cmd.{name}.>": {name} for name in ALL_SERVICES - {EDGE}},
    "parley.cmd.edge.>": NOBODY,
    "parley.cmd.key_vault.lease": {VAULT},
    "parley.cmd.>": NOBODY,
    "parley.>": NOBODY,
    "parley.*.>": NOBODY,
    ">": NOBODY,
    "*": NOBODY,
    "$JS.>": NOBODY,
    "$JS.API.>": NOBODY,
    "$JS.ACK.>": NOBODY,
    "$SYS.>": NOBODY,
    "$SRV.>": NOBODY,
    "$SRV.PING": ALL_SERVICES,
    **{f"$SRV.PING.{name}": {name} for name in ALL_SERVICES},
    **{f"$SRV.STATS.{name}.id": {name} for name in ALL_SERVICES},
    "_INBOX.>": NOBODY,
    **{f"{inbox(name)}.>": {name} for name in CREDENTIALS},
}

# --- Trying ---------------------------------------------------------------------------------


@dataclass
class Trial:
    """A connection of one credential that notes what it was refused."""

    connection: Connection
    refused: set[str] = field(default_factory=set[str])

    def _note(self, named: list[str]) -> NatsClient:
        """nats-py tells what was refused in lower case."""
        by_lower = {name.lower(): name for name in named}
        assert len(by_lower) == len(named)

        def denied(kind: str, subject: str) -> None:
            self.refused.add(by_lower[subject])

        self.connection.client.denied = denied
        return self.connection.client

    async def refused_to_say(self, subjects: list[str]) -> set[str]:
        client = self._note(subjects)
        for subject in subjects:
            client.put(subject, b"")
        await client.round_trip(5)
        return self.refused

    async def refused_to_hear(self, patterns: list[str]) -> set[str]:
        client = self._note(patterns)
        for pattern in patterns:
            for queue in ("", "q"):
                await client.listen(pattern, lambda message: None, queue)
        await client.round_trip(5)
        return self.refused


@pytest_asyncio.fixture
async def broker(tmp_path: Path) -> AsyncGenerator[NatsServer]:
    async with equipped(tmp_path / "nats") as server:
        yield server


@pytest_asyncio.fixture
async def trial(
    broker: NatsServer, request: pytest.FixtureRequest
) -> AsyncGenerator[Callable[[str], Trial]]:
    connections: dict[str, Connection] = {}
    try:
        for credential in CREDENTIALS:
            connections[credential] = Connection(credential)
            await connections[credential].open(broker.url, broker.seed(credential), SOON)
        yield lambda credential: Trial(connections[credential])
    finally:
        for connection in connections.values():
            await connection.close()


def matches(pattern: str, subject: str) -> bool:
    """Whether the pattern covers the subject (or a narrower pattern)."""
    ours, theirs = pattern.split("."), subject.split(".")
    for at, part in enumerate(ours):
        if part == ">":
            return at < len(theirs)
        if at >= len(theirs) or (part not in {"*", theirs[at]}) or theirs[at] == ">":
            return False
    return len(ours) == len(theirs)


@pytest.mark.parametrize("credential", CREDENTIALS)
async def test_each_credential_may_say_what_the_table_says_and_nothing_else(
    trial: Callable[[str], Trial], credential: str
) -> None:
    refused = await trial(credential).refused_to_say(list(MAY_SAY))
    allowed = set(MAY_SAY) - refused
    assert allowed == {subject for subject, who in MAY_SAY.items() if credential in who}


@pytest.mark.parametrize("credential", CREDENTIALS)
async def test_each_credential_may_hear_what_the_table_says_and_nothing_else(
    trial: Callable[[str], Trial], credential: str
) -> None:
    refused = await trial(credential).refused_to_hear(list(MAY_HEAR))
    allowed = set(MAY_HEAR) - refused
    assert allowed == {pattern for pattern, who in MAY_HEAR.items() if credential in who}


# --- The table and the declaration are the same ---------------------------------------------


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_the_declaration_says_what_the_table_says(credential: str) -> None:
    declared = permissions_of(credential)
    for subject, who in MAY_SAY.items():
        said = any(matches(pattern, subject) for pattern in declared.publish)
        assert said == (credential in who), subject
    for pattern, who in MAY_HEAR.items():
        heard = any(matches(allowed, pattern) for allowed in declared.subscribe)
        assert heard == (credential in who), pattern


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_nothing_is_declared_that_the_table_does_not_know(credential: str) -> None:
    declared = permissions_of(credential)
    for pattern in declared.publish:
        assert any(matches(pattern, subject) for subject in MAY_SAY), pattern
    for pattern in declared.subscribe:
        if pattern.startswith(("$SRV.INFO", "$SRV.STATS", "$SRV.PING")):
            continue
        assert pattern in MAY_HEAR, pattern


def test_the_table_knows_every_verb_and_every_consumer() -> None:
    verbs = {f"{service}.{verb.name}" for service, verbs in VERBS.items() for verb in verbs}
    assert verbs == {name for name in REQUESTS if "anything" not in name}
    for stream in STREAMS:
        for consumer in stream.consumers:
            assert f"$JS.API.CONSUMER.MSG.NEXT.{stream.name}.{consumer.name}" in JETSTREAM
    assert set(SERVICES) == ALL_SERVICES


# --- Answers --------------------------------------------------------------------------------


async def test_one_who_hears_a_fact_cannot_forge_its_acknowledgement(broker: NatsServer) -> None:
    """The reply subject of a durable message is heard by whoever hears the message."""
    async with AsyncExitStack() as leaving:
        edge = await Bus.connect(broker.url, service=EDGE, seed_file=broker.seed(EDGE))
        leaving.push_async_callback(edge.drain)
        discussion = await Bus.connect(
            broker.url, service=DISCUSSION, seed_file=broker.seed(DISCUSSION)
        )
        leaving.push_async_callback(discussion.drain)
        heard: list[Message] = []
        await edge.subscribe("parley.event.*.discussion.>", heard.append)
        await discussion.publish_durable("parley.event.w.discussion.d.E", b"", id="1", within=SOON)

        async def arrived() -> bool:
            return bool(heard)

        await eventually(arrived)
        refused: list[str] = []
        client = edge.connection.client

        def denied(kind: str, subject: str) -> None:
            refused.append(subject)

        client.denied = denied
        client.put(heard[0].reply, b'{"stream": "EVENTS", "seq": 99}')
        await client.round_trip(5)
        assert refused == [heard[0].reply.lower()]
