"""What the bus loses or brings too early costs a viewer nothing."""

from __future__ import annotations

from datetime import timedelta

from tests.brokers import OwnBroker
from tests.eventually import eventually
from tests.frontdoor import Edge, Started, heard, reached


async def test_a_fact_that_the_bus_lost_is_read_from_the_log(edge: Edge) -> None:
    await edge.behind.begin()
    reader = edge.reader()
    following = edge.follow(reader)
    await eventually(reached(reader, 2))
    await edge.behind.fact("TurnWaiting", lost=True, turn="t", reason="throttled")
    await edge.behind.finish("done")

    assert await following == 200
    assert reader.names()[2:] == ["TurnWaiting", "TurnCompleted", "DiscussionCompleted"]


async def test_text_that_overtakes_its_attempt_waits_for_it(edge: Edge) -> None:
    await edge.behind.fact("DiscussionOpened")
    reader = edge.reader()
    following = edge.follow(reader)
    await eventually(reached(reader, 1))
    await edge.behind.say("Hello", at=0)
    await edge.behind.fact("AttemptStarted", turn="t", attempt="a")
    await eventually(heard(reader, "Hello"))
    await edge.behind.finish("Hello")
    await following


async def test_text_of_an_attempt_that_nobody_announced_makes_the_edge_look(edge: Edge) -> None:
    await edge.behind.fact("DiscussionOpened")
    reader = edge.reader()
    following = edge.follow(reader)
    await eventually(reached(reader, 1))
    await edge.behind.fact("AttemptStarted", lost=True, turn="t", attempt="a")
    await edge.behind.say("Hello", at=0)
    await eventually(heard(reader, "Hello"))
    await edge.behind.finish("Hello")
    await following


async def test_a_hole_in_the_text_is_filled_from_what_the_stream_keeps(edge: Edge) -> None:
    await edge.behind.begin()
    reader = edge.reader()
    following = edge.follow(reader)
    await eventually(heard(reader, ""))
    await edge.behind.say(" there", at=5)
    await edge.behind.say("Hello", at=0)

    await eventually(heard(reader, "Hello there"))
    await edge.behind.finish("Hello there")
    await following


async def test_a_broker_that_restarts_costs_a_viewer_nothing(
    own_broker: OwnBroker, start: Started
) -> None:
    edge = await start(own_broker.broker)
    await edge.behind.begin()
    reader = edge.reader()
    following = edge.follow(reader)
    await edge.behind.say("Hello", at=0)
    await eventually(heard(reader, "Hello"))

    await own_broker.stop()
    await edge.behind.fact("TurnWaiting", lost=True, turn="t", reason="transient")
    await own_broker.start()
    await own_broker.broker.ensure()

    await eventually(reached(reader, 3), within=timedelta(seconds=20))
    await edge.behind.finish("Hello there")
    assert await following == 200
    assert reader.connections == 1
