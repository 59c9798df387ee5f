"""What following costs: one stream a browser, none for what has ended, no hurry to come back."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.stage import Stage, Told
from tests.eventually import eventually
from tests.systems import RunningSystem

pytestmark = pytest.mark.asyncio(loop_scope="session")

expect.set_options(timeout=15_000)

TEN_MINUTES = 600_000
FAILURE = {
    "class": "auth",
    "title": "The provider refuses the key",
    "detail": "It answered 401.",
    "next_step": "Rotate the key.",
    "retryable": True,
}
WAITING = {"turn": "t", "reason": "rate", "not_before": "2100-01-01T00:00:00Z"}
_AGAIN = re.compile(r"again in (?:(\d+):)?(\d+)")
SPEECH = "[[rate: 10 ; many: 6000]]"
"""Ten minutes of text: it is called off before."""


async def streams_of(page: Page, system: RunningSystem) -> int:
    """Streams that the edge has open."""
    answer = await page.request.get(f"{system.url}/metrics")
    found = re.search(r"^parley_edge_streams (\S+)$", await answer.text(), re.MULTILINE)
    assert found is not None
    return round(float(found[1]))


async def open_tab(context: BrowserContext, stage: Stage, told: Told) -> Page:
    page = await context.new_page()
    await page.goto(f"{stage.url}/#/d/{told.id}")
    await expect(page.locator(".column")).to_be_visible()
    return page


async def quiet(stage: Stage, streams: int) -> int:
    """What has been asked once so many streams are open and nothing is under way."""
    before = -1
    while stage.total != before or stage.streams != streams:
        before = stage.total
        await asyncio.sleep(0.2)  # the page has no sign for "done": that nothing comes is the fact
    return before


# --- With the real system ----------------------------------------------------------------------


async def test_seven_tabs_of_seven_discussions_share_one_stream_and_can_still_ask(
    context: BrowserContext, running_system: RunningSystem
) -> None:
    first = await context.new_page()
    await first.goto(f"{running_system.url}/#token={running_system.token}")
    await expect(first.get_by_label("Your question")).to_be_visible()
    tabs: list[tuple[Page, str]] = []
    for _ in range(7):
        answer = await first.request.post(
            f"{running_system.url}/api/v1/discussions",
            data={"topic": SPEECH, "participants": [{"persona": "riley-engstrom"}]},
            headers=dict(running_system.headers),
        )
        tabs.append((await context.new_page(), (await answer.json())["id"]))
    await asyncio.gather(
        *(page.goto(f"{running_system.url}/#/d/{discussion}") for page, discussion in tabs)
    )
    for page, _ in tabs:
        await expect(page.locator(".answer")).to_contain_text("word1")

    async def open_are(count: int) -> bool:
        return await streams_of(first, running_system) == count

    await eventually(lambda: open_are(1))
    for page, discussion in tabs:
        view: Any = await page.evaluate(
            "async (id) => (await fetch(`/api/v1/discussions/${id}`)).json()", discussion
        )
        assert view["id"] == discussion
    for _, discussion in tabs:
        await first.request.post(
            f"{running_system.url}/api/v1/discussions/{discussion}/cancel",
            headers=dict(running_system.headers),
        )
    for page, _ in tabs:
        await expect(page.locator(".discussion .state")).to_have_text("cancelled")
    await eventually(lambda: open_are(0))


async def test_a_browser_that_comes_back_after_the_end_is_told_204_and_gives_up(
    context: BrowserContext, running_system: RunningSystem
) -> None:
    page = await context.new_page()
    await page.goto(f"{running_system.url}/#token={running_system.token}")
    await expect(page.get_by_label("Your question")).to_be_visible()
    await page.get_by_label("Your question").fill("[[text: Milk first.]]")
    await page.get_by_role("button", name="Ask").click()
    await expect(page.locator(".discussion .state")).to_have_text("answered")
    statuses: list[int] = []
    page.on(
        "response",
        lambda answer: statuses.append(answer.status) if answer.url.endswith("/events") else None,
    )

    # A reader that knows nothing of `end`: the browser alone decides what to do.
    await page.evaluate(
        """(id) => new Promise((closed) => {
            const source = new EventSource(`/api/v1/discussions/${id}/events`);
            source.onerror = () => source.readyState === EventSource.CLOSED && closed();
        })""",
        page.url.rpartition("/")[2],
    )

    assert statuses == [200, 204]


# --- With a stage: time is the page's own ------------------------------------------------------


async def test_the_tab_of_a_failed_discussion_asks_nothing_for_ten_minutes(
    context: BrowserContext, stage: Stage
) -> None:
    failed = stage.tell_of(Told(state="failed", turn={"failure": FAILURE}))
    page = await context.new_page()
    await page.clock.install()
    await page.goto(f"{stage.url}/#/d/{failed.id}")
    await expect(page.locator(".discussion .state")).to_have_text("failed")
    before = await quiet(stage, streams=0)

    await page.clock.run_for(TEN_MINUTES)

    assert await quiet(stage, streams=0) == before
    assert stage.most_streams == 0


@pytest.mark.parametrize(
    ("state", "fact"),
    [
        ("parked", ("TurnParked", {"turn": "t", "failure": FAILURE, "gate": "key:kimi"})),
        ("waiting", ("TurnWaiting", WAITING)),
    ],
)
async def test_what_is_parked_or_waits_costs_one_stream_and_nothing_else(
    context: BrowserContext, stage: Stage, state: str, fact: tuple[str, dict[str, Any]]
) -> None:
    held = stage.tell_of(Told(state=state))
    held.facts.append(fact)
    page = await context.new_page()
    await page.clock.install()
    await page.goto(f"{stage.url}/#/d/{held.id}")
    await expect(page.locator(".turn-state")).to_have_text(state)
    before = await quiet(stage, streams=1)

    await page.clock.run_for(TEN_MINUTES)

    assert await quiet(stage, streams=1) == before
    assert stage.asked[f"GET /api/v1/discussions/{held.id}/events"] == 1


async def test_tabs_of_one_discussion_ask_for_its_stream_once(
    context: BrowserContext, stage: Stage
) -> None:
    told = stage.tell_of(Told())
    tabs = [await open_tab(context, stage, told) for _ in range(7)]
    await quiet(stage, streams=1)

    await stage.say(told, "TurnWaiting", WAITING)

    for tab in tabs:
        await expect(tab.locator(".turn-state")).to_have_text("waiting")
    assert stage.asked[f"GET /api/v1/discussions/{told.id}/events"] == 1


async def test_another_tab_takes_over_when_the_one_with_the_stream_is_closed(
    context: BrowserContext, stage: Stage
) -> None:
    told, other = stage.tell_of(Told()), stage.tell_of(Told())
    first = await open_tab(context, stage, told)
    second = await open_tab(context, stage, told)
    third = await open_tab(context, stage, other)
    await quiet(stage, streams=1)

    await first.close()
    await quiet(stage, streams=1)
    await stage.say(told, "TurnWaiting", WAITING)
    await stage.say(other, "TurnWaiting", WAITING)

    for tab in (second, third):
        await expect(tab.locator(".turn-state")).to_have_text("waiting")
    assert stage.most_streams == 1


async def test_a_tab_whose_neighbour_sleeps_takes_the_stream_from_it(
    context: BrowserContext, stage: Stage
) -> None:
    told = stage.tell_of(Told())
    sleeper = await context.new_page()
    # It comes to hold the stream and hears nobody, as a tab that the browser has frozen.
    await sleeper.add_init_script(
        "Object.defineProperty(BroadcastChannel.prototype, 'onmessage', {set() {}})"
    )
    await sleeper.goto(f"{stage.url}/#/d/{told.id}")
    await quiet(stage, streams=1)

    tab = await open_tab(context, stage, told)
    await expect(tab.locator(".line")).to_have_text("live")
    await stage.say(told, "TurnWaiting", WAITING)

    await expect(tab.locator(".turn-state")).to_have_text("waiting")
    await quiet(stage, streams=1)


async def test_the_page_without_locks_follows_on_its_own(
    context: BrowserContext, stage: Stage
) -> None:
    told = stage.tell_of(Told())
    await context.add_init_script("Object.defineProperty(navigator, 'locks', {value: undefined})")
    tabs = [await open_tab(context, stage, told) for _ in range(2)]
    await quiet(stage, streams=2)

    await stage.say(told, "TurnWaiting", WAITING)

    for tab in tabs:
        await expect(tab.locator(".turn-state")).to_have_text("waiting")


@pytest.mark.parametrize("trouble", ["refusing", "hanging_up"])
async def test_a_server_that_cannot_is_asked_ever_more_rarely(
    context: BrowserContext, stage: Stage, trouble: str
) -> None:
    told = stage.tell_of(Told())
    setattr(stage, trouble, 503 if trouble == "refusing" else True)
    page = await context.new_page()
    await page.add_init_script("Math.random = () => 0.999")
    await page.clock.install()
    await page.goto(f"{stage.url}/#/d/{told.id}")
    events = f"GET /api/v1/discussions/{told.id}/events"

    waits: list[int] = []
    for _ in range(8):
        lost = page.get_by_text("lost the line; again in")
        await expect(lost).to_be_visible()
        minutes, seconds = _AGAIN.findall(await lost.inner_text())[0]
        waits.append(60 * int(minutes or 0) + int(seconds))
        before = stage.asked[events]
        await page.clock.run_for(1_000 * waits[-1])

        async def asked_again(before: int = before) -> bool:
            return stage.asked[events] > before

        await eventually(asked_again)

    assert waits == sorted(waits)
    assert waits[-1] >= 55


async def test_a_line_that_comes_back_brings_what_was_missed(
    context: BrowserContext, stage: Stage
) -> None:
    told = stage.tell_of(Told())
    page = await open_tab(context, stage, told)
    await quiet(stage, streams=1)

    stage.break_off()
    await stage.say(told, "TurnWaiting", WAITING)

    await expect(page.locator(".turn-state")).to_have_text("waiting")
    await expect(page.locator(".line")).to_have_text("live")
