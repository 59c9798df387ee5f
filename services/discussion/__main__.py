"""Start discussion: connect, wire the rooms, run until told to stop."""

from __future__ import annotations

from contracts.endpoints import configured
from contracts.subjects import EVENTS, OUTCOMES
from services.discussion.accounts import check_declared
from services.discussion.estimates import Estimates
from services.discussion.forgetting import Forgetting
from services.discussion.inbox import Inbox
from services.discussion.interjections import Interjections
from services.discussion.keyring import CONSUMER, Keyring
from services.discussion.openings import Openings
from services.discussion.outcomes import Outcomes
from services.discussion.probes import Probes
from services.discussion.quota import Quota
from services.discussion.refreshing import Refreshing
from services.discussion.searching import Searching
from services.discussion.settings import Settings
from services.discussion.stopping import Stopping
from services.discussion.store import SCHEMAS, Store
from services.discussion.tidying import Tidying
from services.discussion.turns import Turns
from services.discussion.wakeups import Wakeups
from services.discussion.workflows.inbox import Workflows
from services.discussion.workflows.journal import Runs
from services.discussion.workflows.running import Running
from shared.database import AWAY, migrate
from shared.relay import Relay
from shared.service import Service, main

WORKSPACE = "default"
"""The workspace that every installation begins with."""


async def wire(service: Service[Settings]) -> None:
    """All of it, in the order in which it comes to life."""
    configured()  # whatever is wrong with it is said before anything begins
    check_declared()
    pool = await service.connect_database()
    await migrate(pool, service.name, SCHEMAS)
    bus = await service.connect_bus()
    relay = Relay(service.settings.database_url, bus, service.name)
    store = Store(pool, relay)
    outcomes = Outcomes(store, bus)
    probes = Probes(store, bus)
    keyring = Keyring(store, bus, probes)
    refreshing = Refreshing(store, probes)
    tidying = Tidying(store)
    turns = Turns(store, bus, outcomes)
    openings = Openings(store, bus, keyring, probes, Estimates(store))
    interjections = Interjections(store)
    forgetting = Forgetting(store, bus)
    searching = Searching(store)
    inbox = Inbox(store, openings, interjections, forgetting, probes, refreshing, bus)
    runs = Runs(store)
    workflows = Workflows(store, runs)
    wakeups = Wakeups(
        pool,
        {
            "turn": turns.due,
            "overdue": interjections.overdue,
            "lease": outcomes.lease_due,
            "catalog": probes.catalog_due,
            "look": refreshing.due,
            "report": keyring.report_due,
            "quota": Quota(store, probes).due,
            "tidy": tidying.due,
            "forget": forgetting.forget_due,
            "purge": forgetting.purge_due,
            "stop": Stopping(store, bus).due,
            "note": searching.due,
            "run": Running(store, runs, openings, inbox.cancel, forgetting.delete).due,
        },
    )
    store.on_commit(wakeups.look)
    await probes.schedule_keyless()
    await refreshing.schedule()
    await tidying.schedule()
    await searching.schedule()
    await workflows.seed(WORKSPACE)
    service.spawn(relay.run(), "relay")
    service.spawn(wakeups.run(), "wakeups")
    service.on_stop(wakeups.stop)
    service.spawn(
        bus.consume(
            OUTCOMES.name,
            OUTCOMES.consumers[0].name,
            outcomes.heard,
            passing=AWAY,
        ),
        "outcomes",
    )
    service.spawn(bus.consume(EVENTS.name, CONSUMER, keyring.heard, passing=AWAY), "keys")
    verbs = [*inbox.verbs(), *workflows.verbs()]
    await bus.serve(service.name, verbs, passing=AWAY)


if __name__ == "__main__":
    main("discussion", Settings, wire)
