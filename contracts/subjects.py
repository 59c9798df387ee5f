"""Every subject, stream and consumer, and who may say what: the one declaration.

The broker's permissions, its streams and the description for integrations are made from it. The
second token tells the kind, so no wildcard of one kind can ever cover another:

    parley.event.<workspace>.<service>.<id>.<EventName>      facts
    parley.cmd.<service>.<verb>                              requests (core request/reply)
    parley.chunk.<workspace>.<discussion>.<attempt>          live text
    parley.outcome.<workspace>.<discussion>.<attempt>        the end of an attempt
    parley.quarantine.<stream>.<consumer>.<sequence>         what nobody could work on
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from contracts.ids import token

# --- Subjects -------------------------------------------------------------------------------


def event_subject(workspace: str, service: str, id: str, name: str) -> str:
    return f"parley.event.{token(workspace)}.{token(service)}.{token(id)}.{token(name)}"


def command_subject(service: str, verb: str) -> str:
    return f"parley.cmd.{token(service)}.{token(verb)}"


def chunk_subject(workspace: str, discussion: str, attempt: str) -> str:
    return f"parley.chunk.{token(workspace)}.{token(discussion)}.{token(attempt)}"


def outcome_subject(workspace: str, discussion: str, attempt: str) -> str:
    return f"parley.outcome.{token(workspace)}.{token(discussion)}.{token(attempt)}"


def quarantine_subject(stream: str, consumer: str, sequence: int) -> str:
    return f"parley.quarantine.{token(stream)}.{token(consumer)}.{sequence}"


def discussion_events(workspace: str, discussion: str) -> str:
    """All facts of one discussion."""
    return f"parley.event.{token(workspace)}.discussion.{token(discussion)}.*"


def discussion_chunks(workspace: str, discussion: str) -> str:
    """All live text of one discussion."""
    return f"parley.chunk.{token(workspace)}.{token(discussion)}.*"


KEY_FACTS = "parley.event.*.key_vault.>"
"""What key_vault states, of every workspace."""

# --- Streams and consumers ------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A durable pull consumer; explicit acknowledgement."""

    name: str
    service: str
    """Who reads it."""
    filter: str
    ack_wait: timedelta = timedelta(seconds=30)
    max_ack_pending: int = 256
    max_deliver: int = 20
    """Deliveries before a message counts as poison and goes to quarantine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    name: str
    subjects: tuple[str, ...]
    storage: Literal["file", "memory"]
    retention: Literal["limits", "work_queue"]
    max_age: timedelta
    max_consumers: int
    """Explicit, since nats-server 2.15 caps an unset one at 1,000."""
    max_bytes: int
    duplicate_window: timedelta = timedelta(minutes=2)
    allow_direct: bool = False
    consumers: tuple[Consumer, ...] = ()
    keeper: str = ""
    """Service that makes it again when the broker was away: what is in memory goes with it."""


EVENTS = Stream(
    name="EVENTS",
    subjects=("parley.event.>",),
    storage="file",
    retention="limits",
    max_age=timedelta(days=30),
    max_consumers=100_000,
    max_bytes=8 << 30,
    # The longest relay outage during which a repeated publish is still known as such.
    duplicate_window=timedelta(minutes=10),
    allow_direct=True,
    consumers=(Consumer(name="discussion-keys", service="discussion", filter=KEY_FACTS),),
)

OUTCOMES = Stream(
    name="OUTCOMES",
    subjects=("parley.outcome.>",),
    storage="file",
    retention="work_queue",
    max_age=timedelta(days=7),
    max_consumers=16,
    max_bytes=2 << 30,
    duplicate_window=timedelta(minutes=10),
    allow_direct=True,
    consumers=(
        Consumer(name="discussion-outcomes", service="discussion", filter="parley.outcome.>"),
    ),
)

CHUNKS = Stream(
    name="CHUNKS",
    subjects=("parley.chunk.>",),
    storage="memory",
    retention="limits",
    max_age=timedelta(minutes=15),
    max_consumers=16,
    max_bytes=256 << 20,
    allow_direct=True,
    keeper="discussion",
)

QUARANTINE = Stream(
    name="QUARANTINE",
    subjects=("parley.quarantine.>",),
    storage="file",
    retention="limits",
    max_age=timedelta(days=90),
    max_consumers=16,
    max_bytes=1 << 30,
)
"""Poison messages, whole, for a person to look at; their consumers go on without them."""

STREAMS = (EVENTS, OUTCOMES, CHUNKS, QUARANTINE)

# --- Who may ask whom -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One request that a service answers, and who may make it."""

    name: str
    askers: frozenset[str]
    everyone: bool = False
    """Every replica hears it, instead of one."""


def _verb(name: str, *askers: str, everyone: bool = False) -> Verb:
    return Verb(name=name, askers=frozenset(askers), everyone=everyone)


VERBS: Mapping[str, tuple[Verb, ...]] = {
    "key_vault": (
        _verb("identity", "edge", "provider_adapter"),
        _verb("add", "edge"),
        _verb("list", "edge", "discussion"),
        _verb("get", "edge"),
        _verb("verify", "edge"),
        _verb("rotate", "edge"),
        _verb("disable", "edge"),
        _verb("enable", "edge"),
        _verb("revoke", "edge"),
        _verb("prune", "edge"),
        _verb("rewrap", "edge"),
        _verb("lease", "provider_adapter"),
        _verb("report", "discussion"),
        _verb("introspect", "edge"),
        _verb("issue_token", "edge"),
        _verb("list_tokens", "edge"),
        _verb("revoke_token", "edge"),
        _verb("add_endpoint", "edge"),
        _verb("change_endpoint", "edge"),
        _verb("remove_endpoint", "edge"),
        _verb("list_endpoints", "edge", "discussion"),
    ),
    "provider_adapter": (
        _verb("attempt", "discussion"),
        _verb("cancel", "discussion", everyone=True),
        _verb("probe", "discussion"),
    ),
    "discussion": (
        _verb("open", "edge"),
        _verb("estimate", "edge"),
        _verb("cancel", "edge"),
        _verb("retry", "edge"),
        _verb("rename", "edge"),
        _verb("delete", "edge"),
        _verb("fork", "edge"),
        _verb("post", "edge"),
        _verb("conclude", "edge"),
        _verb("pick", "edge"),
        _verb("get", "edge"),
        _verb("list", "edge"),
        _verb("history", "edge"),
        _verb("models", "edge"),
        _verb("resolve", "edge"),
        _verb("refresh", "edge"),
        _verb("providers", "edge"),
        _verb("limits", "edge"),
        _verb("usage", "edge"),
        _verb("budgets", "edge"),
        _verb("set_budget", "edge"),
        _verb("remove_budget", "edge"),
        _verb("probe", "key_vault"),
        _verb("workflows", "edge"),
        _verb("get_workflow", "edge"),
        _verb("define_workflow", "edge"),
        _verb("revise_workflow", "edge"),
        _verb("archive_workflow", "edge"),
        _verb("start_run", "edge"),
        _verb("runs", "edge"),
        _verb("get_run", "edge"),
        _verb("run_history", "edge"),
        _verb("answer_gate", "edge"),
        _verb("cancel_run", "edge"),
        _verb("fork_run", "edge"),
        _verb("delete_run", "edge"),
    ),
    "persona": (
        _verb("get", "edge", "discussion"),
        _verb("list", "edge"),
        _verb("seed", "edge"),
        _verb("create", "edge"),
        _verb("revise", "edge"),
        _verb("archive", "edge"),
        _verb("import", "edge"),
    ),
    "edge": (),
}
"""By the service that answers. Only discussion may ask provider_adapter for anything, and only
provider_adapter may ask for a lease: the broker enforces the one place of waiting."""

SERVICES = tuple(VERBS)

# --- Permissions of each credential ---------------------------------------------------------

ADMIN = "admin"
"""Makes streams and consumers at start; no service holds it."""

INTEGRATION = "integration"
"""An operator's credential: reads, publishes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """Allow lists, spelt out; whatever is not here is refused."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    responds: bool = False
    """May answer requests on the reply subject they came with."""


def inbox(credential: str) -> str:
    """Prefix of the credential's own reply subjects."""
    return f"_INBOX_{token(credential)}"


def permissions(service: str) -> Permissions:
    """What one service may publish and hear: derived from the declarations above."""
    publish = [
        command_subject(other, verb.name)
        for other, verbs in VERBS.items()
        for verb in verbs
        if service in verb.askers
    ]
    subscribe = [f"{inbox(service)}.>", *_discovery(service)]
    if VERBS[service]:
        subscribe.append(f"parley.cmd.{service}.>")
    else:
        # It is only ever pinged, by itself and by the administrator. "May answer whatever it
        # hears" would let it forge the broker's acknowledgement of a fact that it hears.
        publish += [f"{inbox(service)}.>", f"{inbox(ADMIN)}.>"]
    for stream in STREAMS:
        if stream.keeper == service:
            publish.append(f"$JS.API.STREAM.CREATE.{stream.name}")
        for consumer in stream.consumers:
            if consumer.service == service:
                publish.append(f"$JS.API.CONSUMER.MSG.NEXT.{stream.name}.{consumer.name}")
                publish.append(f"$JS.ACK.{stream.name}.{consumer.name}.>")
                publish.append(f"parley.quarantine.{stream.name}.{consumer.name}.*")
    more_publish, more_subscribe = _SPECIAL[service]
    return Permissions(
        publish=(*publish, *more_publish),
        subscribe=(*subscribe, *more_subscribe),
        responds=bool(VERBS[service]),
    )


def _discovery(service: str) -> tuple[str, ...]:
    """Subjects of the NATS services API (ADR-32), by which a service can be found and pinged."""
    return tuple(
        subject
        for verb in ("PING", "INFO", "STATS")
        for subject in (f"$SRV.{verb}", f"$SRV.{verb}.{service}", f"$SRV.{verb}.{service}.*")
    )


_READ_OUTCOMES = ("$JS.API.DIRECT.GET.OUTCOMES.>",)
_FORGET_WORDS = ("$JS.API.STREAM.PURGE.EVENTS", "$JS.API.STREAM.PURGE.CHUNKS")
"""A deleted discussion's words are taken off the bus too."""
_READ_CHUNKS = ("$JS.API.DIRECT.GET.CHUNKS", "$JS.API.DIRECT.GET.CHUNKS.>")

_SPECIAL: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "edge": (
        (*_READ_CHUNKS, *(f"$SRV.PING.{service}" for service in VERBS)),
        ("parley.event.*.discussion.>", "parley.event.*.key_vault.>", "parley.chunk.>"),
    ),
    "key_vault": (("parley.event.*.key_vault.>",), ()),
    "provider_adapter": (("parley.chunk.>", "parley.outcome.>"), (KEY_FACTS,)),
    "discussion": (
        ("parley.event.*.discussion.>", *_READ_CHUNKS, *_READ_OUTCOMES, *_FORGET_WORDS),
        (),
    ),
    "persona": (("parley.event.*.persona.>",), ()),
}
"""Per service: what else it may publish, what else it may hear."""

INTEGRATION_PERMISSIONS = Permissions(
    publish=(),
    subscribe=("parley.event.>", "parley.chunk.>", "parley.outcome.>", f"{inbox(INTEGRATION)}.>"),
)

ADMIN_PERMISSIONS = Permissions(
    publish=(
        "$JS.API.>",
        "$SRV.PING",
        "$SRV.PING.>",
        "$SRV.INFO",
        "$SRV.INFO.>",
        "$SRV.STATS",
        "$SRV.STATS.>",
    ),
    subscribe=(
        "parley.event.>",
        "parley.chunk.>",
        "parley.outcome.>",
        "parley.quarantine.>",
        f"{inbox(ADMIN)}.>",
    ),
)
"""Streams, consumers and looking: it can ask no service for anything and state no fact."""
