"""Attempts that are cancelled, and adapters that leave, lose no outcome."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

import pytest

from contracts.attempts import CancelAttempt
from contracts.failures import Conflict, FailureClass, Unavailable
from contracts.keys import Done
from contracts.stream import UsageStatus
from contracts.subjects import command_subject
from tests.adapters import WITHIN, WORKSPACE, House, client_leaves, house, impatient
from tests.brokers import Broker
from tests.eventually import eventually


async def test_a_cancelled_attempt_stops_at_the_provider_too(here: House) -> None:
    request = await here.ask("[[stall]]")
    await here.hears(request, "This answer falls silent")
    command = CancelAttempt(
        workspace=WORKSPACE, discussion=request.discussion, attempt=request.attempt
    )
    subject = command_subject("provider_adapter", "cancel")
    await here.discussion.request(subject, command, Done, within=WITHIN)
    error = await here.error_of(request)
    assert (error.class_, error.hint) == (FailureClass.MIDSTREAM, "cancelled")
    assert error.text == "This answer falls silent"
    assert error.usage.status is UsageStatus.ESTIMATED
    await client_leaves(here)


async def test_cancelled_before_it_began_nothing_is_sent(here: House) -> None:
    request = here.request()
    here.running.take(request)
    here.running.cancel(request.attempt)
    error = await here.error_of(request)
    assert (error.hint, error.sent) == ("cancelled", False)
    assert here.asked == 0


async def test_a_cancel_that_overtakes_its_attempt_holds(here: House) -> None:
    request = here.request()
    here.running.cancel(request.attempt)
    with pytest.raises(Conflict):
        await here.send(request)
    assert here.asked == 0


async def test_leaving_loses_no_outcome(broker: Broker) -> None:
    async with house(broker, impatient()) as here:
        stuck = await here.ask("[[stall]]")
        quick = await here.ask("[[text: Nearly ; wait: 50ms ; text:  done]]")
        await here.hears(stuck, "This answer falls silent")
        await here.running.leave()
        with pytest.raises(Unavailable):
            await here.ask()
        assert (await here.answer_of(quick)).text == "Nearly done"
        error = await here.error_of(stuck)
        assert (error.class_, error.hint) == (FailureClass.MIDSTREAM, "shutdown")
        assert error.text == "This answer falls silent"


async def test_the_process_ends_in_good_order_when_told_to(broker: Broker) -> None:
    async with house(broker) as here:
        # The one in this process must not answer in its stead.
        await here.running.leave()
        environment = {
            "PATH": os.environ["PATH"],
            "PARLEY_NATS_URL": broker.url,
            "PARLEY_NATS_SEED_FILE": str(broker.seed_file("provider_adapter")),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.provider_adapter", env=environment
        )
        try:
            request = await taken_by_the_process(here)
            await here.hears(request, "This answer falls silent")
            process.send_signal(signal.SIGTERM)
            error = await here.error_of(request)
            assert (error.class_, error.hint) == (FailureClass.MIDSTREAM, "shutdown")
            assert await asyncio.wait_for(process.wait(), 15) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def taken_by_the_process(here: House) -> Any:
    """The queue group gives it to either; the one here refuses."""

    async def taken() -> Any:
        try:
            return await here.ask("[[stall]]")
        except Unavailable:
            return None

    return await eventually(taken)
