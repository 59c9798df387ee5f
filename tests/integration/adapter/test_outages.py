"""The broker goes and comes: neither text nor outcome is lost, and nothing new is asked."""

from __future__ import annotations

from datetime import timedelta

import pytest

from contracts.attempts import RunAttempt
from contracts.failures import Unavailable
from contracts.subjects import chunk_subject
from tests.adapters import CHUNK, WORKSPACE, House, house, joined
from tests.brokers import Broker, OwnBroker
from tests.eventually import eventually


async def test_an_outage_of_the_broker_costs_neither_text_nor_outcome(
    own_broker: OwnBroker,
) -> None:
    async with house(own_broker.broker, rate=100) as here:
        request = await here.ask("[[many: 5000]]")
        short = await here.ask("[[many: 30]]")
        await here.hears(short, "word0 word1 ")
        await own_broker.stop()
        await ended_in_the_dark(here, running=1)
        seen = len(here.text_of(request))
        await own_broker.start()
        await own_broker.broker.ensure()

        async def viewers_see_more_and_the_stream_has_all() -> bool:
            stored = await stored_text(here, request)
            return min(len(here.text_of(request)), len(stored)) > seen + 500

        await eventually(viewers_see_more_and_the_stream_has_all, within=timedelta(seconds=20))
        assert (await here.answer_of(short)).text == words(30)
        here.running.cancel(request.attempt)
        error = await here.error_of(request)
        assert error.text.startswith(here.text_of(request))
        assert words(5000).startswith(error.text)
        assert here.asked == 2


def words(count: int) -> str:
    """What `many` says."""
    return "".join(f"word{n} " for n in range(count))


async def stored_text(here: House, request: RunAttempt) -> str:
    """What who comes later can read of an attempt."""
    subject = chunk_subject(WORKSPACE, request.discussion, request.attempt)
    stored = await here.discussion.stored_chunks(subject)
    return joined([CHUNK.decode(message.data) for message in stored])


async def ended_in_the_dark(here: House, *, running: int) -> None:
    """An attempt ended while nobody could be told."""

    async def spooled() -> bool:
        return here.outbox.waiting > 0 and here.running.count == running

    await eventually(spooled)


async def test_an_outcome_waits_for_a_broker_that_is_away(own_broker: OwnBroker) -> None:
    async with house(own_broker.broker) as here:
        request = await here.ask("[[text: Said ; wait: 300ms ; text:  in the dark]]")
        await here.hears(request, "Said")
        await own_broker.stop()
        await ended_in_the_dark(here, running=0)
        await own_broker.start()
        await own_broker.broker.ensure()
        assert (await here.answer_of(request)).text == "Said in the dark"
        await here.outbox.emptied()


async def test_while_no_outcome_can_be_stored_nothing_new_is_asked(
    here: House, broker: Broker
) -> None:
    await broker.delete_stream("OUTCOMES")
    first = await here.ask("[[text: Kept]]")

    async def refused() -> bool:
        try:
            await here.ask("[[text: Too many]]")
        except Unavailable:
            return True
        return False

    await eventually(refused)
    asked = here.asked
    for _ in range(3):
        with pytest.raises(Unavailable):
            await here.ask("[[text: Too many]]")
    assert here.asked == asked
    await broker.ensure()

    assert (await here.answer_of(first)).text == "Kept"
    await here.outbox.emptied()
    await here.answer_of(await here.ask())
