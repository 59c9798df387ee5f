"""How people discuss on the page: debates, comparisons, panels, forks, and going on."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from contracts.deliberation import DissentRecorded
from contracts.modes import Options
from tests.browser import verdicts
from tests.browser.conftest import Watched
from tests.browser.hands import (
    MORGAN,
    RILEY,
    ask,
    column,
    finished,
    fits,
    is_accessible,
    phone,
    sign_in,
    told,
    words,
)
from tests.browser.stage import Stage, Told
from tests.sittings import Sitting
from tests.systems import RunningSystem

pytestmark = pytest.mark.asyncio(loop_scope="session")

SLOW = "[[rate: 25 ; many: 40]]"


async def choose(page: Page, mode: str) -> None:
    await page.get_by_role("radio", name=mode).check(force=True)


def spoken(page: Page, name: str) -> Locator:
    """What somebody says in a thread, where everybody speaks more than once."""
    return page.get_by_role("article", name=name)


async def more(page: Page) -> None:
    await page.locator("summary").filter(has_text="More").click()


# --- Asking -----------------------------------------------------------------------------------


async def test_a_mode_is_told_in_plain_words_and_asks_only_for_what_it_takes(
    watched: Watched, running_system: RunningSystem
) -> None:
    page = watched.page
    await sign_in(page, running_system)
    await expect(page.get_by_text("Riley and Morgan answer side by side")).to_be_visible()
    await expect(page.locator("summary").filter(has_text="More")).to_be_hidden()

    await choose(page, "Debate")
    await more(page)
    await page.get_by_label("Moderator").select_option(label=MORGAN)
    await expect(page.locator("#how")).to_have_text("Pick one more: this takes two or more.")
    await page.get_by_role("checkbox").nth(2).check(force=True)
    await page.get_by_label("Rounds at most").select_option("2")
    await expect(page.locator("#how")).to_have_text(
        re.compile(r"Riley and \w+ debate for up to 2 rounds; Morgan moderates\.")
    )
    await is_accessible(page, "choosing a debate")

    await choose(page, "Compare models")
    await expect(page.get_by_role("checkbox", name=RILEY)).to_be_hidden()
    for _ in range(6):
        await page.get_by_role("button", name="Add a model").click()
    await expect(page.get_by_role("button", name="Add a model")).to_be_hidden()
    await page.get_by_role("button", name="Remove model 8").click()
    await expect(page.locator("#how")).to_have_text("7 models answer the same question.")
    await is_accessible(page, "choosing models")

    await choose(page, "Consensus")
    await page.get_by_label("The question has one short answer").check()
    await is_accessible(page, "choosing a consensus")
    await page.reload()
    await expect(page.get_by_role("radio", name="Consensus")).to_be_checked()
    watched.behaved()


# --- A debate ---------------------------------------------------------------------------------


async def test_a_debate_is_read_by_rounds_and_hears_who_watches(
    watched: Watched, running_system: RunningSystem
) -> None:
    page = watched.page
    await sign_in(page, running_system)
    await choose(page, "Debate")
    discussion = await ask(page, SLOW)

    await expect(page.get_by_role("heading", name="Round 1")).to_be_visible()
    await expect(spoken(page, RILEY).locator(".answer")).to_have_text(re.compile(r"\w+ \w+"))
    await page.get_by_label("Say something to them").fill("Think of the costs.")
    await page.keyboard.press("Enter")
    post = page.locator(".post")
    await expect(post).to_have_count(1)
    await expect(post).to_contain_text("Think of the costs.")
    await expect(spoken(page, MORGAN).first).to_be_visible()
    await page.get_by_role("button", name="End after this speaker").click()
    await expect(page.locator(".discussion .state")).to_have_text("answered", timeout=60_000)

    # It stands where it was said: after who spoke then, before who spoke next.
    order = await page.locator(".thread > *").evaluate_all(
        "found => found.map((one) => one.dataset.turn ? 'turn' : one.className)"
    )
    assert order[:4] == ["round", "turn", "post", "turn"]
    view = await told(page, discussion)
    assert [post["text"] for post in view["posts"]] == ["Think of the costs."]
    shown = page.locator(".thread > .column")
    await expect(shown).to_have_count(len(view["turns"]))
    await expect(page.locator(".thread-end")).not_to_be_empty()
    await is_accessible(page, "a debate")
    before = await page.locator(".thread").inner_text()
    await page.reload()
    await expect(shown).to_have_count(len(view["turns"]))
    assert words(await page.locator(".thread").inner_text()) == words(before)
    watched.behaved()


# --- A comparison -----------------------------------------------------------------------------


async def test_names_stay_hidden_until_the_best_is_picked(
    watched: Watched, running_system: RunningSystem
) -> None:
    page = watched.page
    await sign_in(page, running_system)
    await choose(page, "Compare models")
    await more(page)
    await page.get_by_label("Hide the names until I pick").check()
    judge = page.get_by_label("Judge")
    await judge.select_option(index=1)
    await ask(page, "[[rate: 60 ; many: 30]]")
    await finished(page)

    answers = page.locator(".columns > .column")
    await expect(answers).to_have_count(2)
    await expect(answers.get_by_role("heading")).to_have_text(["Model A", "Model B"])
    assert "kimi" not in await page.locator(".columns").inner_text()
    await expect(answers.locator(".measures").first).to_be_hidden()
    analysis = page.get_by_role("region", name="Analysis", exact=True)
    await expect(analysis).to_contain_text("A is Model A · B is Model B")
    await is_accessible(page, "a blind comparison")

    await page.get_by_role("button", name="Pick the answer of Model B").click()
    picked = answers.nth(1)
    await expect(picked.get_by_role("button", name="Pick the answer")).to_have_attribute(
        "aria-pressed", "true"
    )
    await expect(answers.get_by_role("heading")).to_have_text([re.compile("kimi")] * 2)
    for name in ("First token", "Speed", "Length", "Cost"):
        await expect(picked.locator(".measures")).to_contain_text(name)
    await is_accessible(page, "a comparison")
    await page.reload()
    await expect(page.locator(".column.picked")).to_have_count(1)
    watched.behaved()


# --- A fork, and going on ---------------------------------------------------------------------


async def test_a_turn_is_asked_again_of_somebody_else(
    watched: Watched, running_system: RunningSystem
) -> None:
    page = watched.page
    await sign_in(page, running_system)
    origin = await ask(page, "[[text: Milk first. ; many: 5]]")
    await finished(page)

    fork = page.get_by_role("button", name=f"Fork from the answer of {RILEY}")
    await fork.click()
    dialog = page.get_by_role("dialog", name="Fork from here")
    await is_accessible(page, "a fork")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(fork).to_be_focused()
    await fork.click()
    await dialog.get_by_label("Who answers").select_option(label=MORGAN)
    await dialog.get_by_role("button", name="Fork", exact=True).click()

    await expect(page.locator(".column")).to_have_count(1)
    await expect(column(page, MORGAN)).to_be_visible()
    await finished(page)
    await page.get_by_role("link", name="Forked from another discussion").click()
    await expect(page).to_have_url(re.compile(origin))
    await expect(page.locator(".column")).to_have_count(2)
    watched.behaved()


async def test_what_is_over_goes_on_with_a_message(
    watched: Watched, running_system: RunningSystem
) -> None:
    page = watched.page
    await sign_in(page, running_system)
    discussion = await ask(page, "[[text: Milk first.]]")
    await finished(page)

    await page.get_by_label("Go on with it").fill("[[text: And then sugar.]]")
    await page.get_by_role("button", name="Send").click()

    await expect(page.locator(".group")).to_have_count(2)
    await expect(page.locator(".group").nth(1).locator(".column")).to_have_count(2)
    await expect(page.locator(".group").nth(1)).to_contain_text("And then sugar.")
    await finished(page)
    assert len((await told(page, discussion))["turns"]) == 4
    await is_accessible(page, "a discussion that went on")
    watched.behaved()


async def test_who_watches_can_speak_while_everybody_answers(
    watched: Watched, running_system: RunningSystem
) -> None:
    page = watched.page
    await sign_in(page, running_system)
    discussion = await ask(page, SLOW)

    await expect(page.locator(".say .hint")).to_contain_text("everybody answers this too")
    await page.get_by_label("Say something to them").fill("[[text: And then sugar.]]")
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator(".post")).to_contain_text("And then sugar.")
    await expect(page.locator(".group").nth(1).locator(".column")).to_have_count(2)
    await finished(page)

    view = await told(page, discussion)
    assert [turn["text"] for turn in view["turns"][2:]] == ["And then sugar."] * 2
    watched.behaved()


# --- A panel ----------------------------------------------------------------------------------


async def shown(page: Page, stage: Stage, facts: Callable[[str], list[verdicts.Fact]]) -> Locator:
    discussion = Told()
    discussion.facts = facts(discussion.id)
    stage.tell_of(discussion)
    await page.goto(f"{stage.url}/#/d/{discussion.id}")
    outcome = page.get_by_role("region", name="Outcome")
    await expect(outcome).to_be_visible()
    return outcome


async def test_a_consensus_tells_its_outcome_first_and_its_process_on_demand(
    page: Page, stage: Stage
) -> None:
    watched = Watched(page, stage.url)
    outcome = await shown(page, stage, verdicts.consensus)

    await expect(outcome.get_by_role("heading", name="Consensus")).to_be_visible()
    await expect(outcome).to_contain_text("Dee wrote no draft: The account has no balance.")
    await expect(outcome).to_contain_text("Bo holds up the own draft instead")
    process = page.locator(".process")
    await expect(process).not_to_have_attribute("open", "")
    await is_accessible(page, "an outcome")

    await outcome.locator(".points.unique").get_by_role("button", name="Cy").click()
    await expect(process).to_have_attribute("open", "")
    await expect(page.locator("[data-turn=draft-cy]")).to_be_focused()
    count = page.get_by_role("region", name="The count")
    await expect(count).to_contain_text("it beats every other draft one against one")
    await expect(count).to_contain_text("1.00. More than chance, with this many members, is 1.00")
    await expect(count.get_by_role("row")).to_have_count(8)
    await expect(page.get_by_role("region", name="What it took")).to_contain_text("$0.015")
    await is_accessible(page, "a panel's process")
    watched.behaved()


async def test_a_split_shows_both_and_blends_nothing(page: Page, stage: Stage) -> None:
    outcome = await shown(page, stage, verdicts.split)

    await expect(outcome.get_by_role("heading", name="Split")).to_be_visible()
    sides = outcome.locator(".sides > .column")
    await expect(sides).to_have_count(2)
    await expect(sides.nth(0)).to_contain_text("Delivery eats the margin.")
    await expect(sides.nth(1)).to_contain_text("Regulars will pay for it.")
    await expect(outcome.get_by_text("both")).to_have_count(0)


async def test_a_panel_under_way_says_where_it_stands(page: Page, stage: Stage) -> None:
    discussion = Told()
    story = verdicts.Story(discussion.id)
    verdicts.opened(story, "consensus")
    story.turn("draft-ada", verdicts.ADA, "Yes.", purpose="draft")
    story.tell(
        "TurnScheduled", turn="draft-bo", participant=verdicts.BO, persona="bo", purpose="draft"
    )
    discussion.facts = story.facts
    stage.tell_of(discussion)

    await page.goto(f"{stage.url}/#/d/{discussion.id}")

    await expect(page.locator(".panel-now")).to_have_text("Everybody drafts alone: 1 of 2 done.")
    await expect(page.locator(".process")).to_have_attribute("open", "")
    await expect(page.get_by_role("region", name="Outcome")).to_be_hidden()
    await expect(page.locator(".say .hint")).to_contain_text("nothing can be said to them now")
    await expect(page.get_by_role("button", name="Send")).to_be_hidden()


@pytest.mark.parametrize(
    ("members", "closed", "title", "leaders"),
    [
        (("plain-a-abcd", "plain-b-abcd", "plain-c-abcd", "plain-d-abcd"), False, "Consensus", 0),
        (("plain-a-abcd", "plain-b-bacd", "plain-c-abcd", "plain-d-bacd"), False, "Split", 2),
        (("plain-a-ab-b", "plain-b-ab-b", "stubborn-c-abc-a"), False, None, 0),
        (("unparsable-a", "unparsable-b", "unparsable-c"), False, "Not decided", 3),
        (("plain-a", "plain-a", "plain-b"), True, "Consensus", 0),
        (("plain-a", "plain-a", "plain-b", "plain-b"), True, "Split", 2),
    ],
    ids=["agreed", "split", "objections", "undecided", "closed", "closed-split"],
)
async def test_what_the_engine_says_of_a_panel_is_shown(
    page: Page,
    stage: Stage,
    members: tuple[str, ...],
    closed: bool,
    title: str | None,
    leaders: int,
) -> None:
    watched = Watched(page, stage.url)
    sitting = Sitting(members, options=Options(closed=closed))
    outcome = await shown(page, stage, lambda _: verdicts.played(sitting))

    if title is not None:
        await expect(outcome.get_by_role("heading", name=title)).to_be_visible()
    await expect(outcome.locator(".sides > .column")).to_have_count(
        len(sitting.conclusion.leaders) if leaders else 0
    )
    for dissent in sitting.of(DissentRecorded):
        said = "b" if closed else dissent.claim
        await expect(outcome.locator(".dissent")).to_contain_text(said)
    assert '"confidence"' not in await page.locator(".discussion").inner_text()
    assert "undefined" not in await page.locator(".discussion").inner_text()
    await is_accessible(page, "a panel")
    watched.behaved()


async def test_a_panel_comes_to_its_end_before_ones_eyes(
    watched: Watched, running_system: RunningSystem
) -> None:
    page = watched.page
    await sign_in(page, running_system)
    await choose(page, "Consensus")
    await more(page)
    await page.get_by_label("The question has one short answer").check()
    sealed = '{"reasons": "It warms.", "answer": "Tea", "confidence": 0.9}'
    discussion = await ask(page, f"[[rate: 4 ; text: {sealed}]]")

    outcome = page.get_by_role("region", name="Outcome")
    await expect(outcome.get_by_role("heading", name="They agree")).to_be_visible(timeout=30_000)
    await expect(page.locator(".discussion .state")).to_have_text("answered")
    await expect(page.locator(".process")).not_to_have_attribute("open", "")
    assert (await told(page, discussion))["conclusion"]["outcome"] == "majority", "two are no panel"
    await is_accessible(page, "a panel that has just ended")

    # Opened anew, the process is fetched when somebody wants to see it.
    await page.reload()
    await page.locator(".process > summary").click()
    await expect(page.get_by_role("region", name="The count")).to_contain_text("2 answers counted")
    watched.behaved()


# --- Everywhere -------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_panel_fits_a_phone(chromium: Browser, stage: Stage, scheme: Any) -> None:
    async with phone(chromium, scheme) as page:
        await shown(page, stage, verdicts.consensus)
        await page.locator(".process > summary").tap()
        await expect(page.get_by_role("region", name="The count")).to_be_visible()

        assert await fits(page)
        await is_accessible(page, "a panel on a phone")


async def test_a_discussion_is_played_once_more_without_asking_a_provider(
    watched: Watched, running_system: RunningSystem
) -> None:
    page = watched.page
    await sign_in(page, running_system)
    discussion = await ask(page, "[[rate: 20 ; many: 30]] to be replayed")
    await finished(page)
    answer = column(page, RILEY).locator(".answer")
    whole = words(await answer.inner_text())

    await page.get_by_role("button", name="Replay").click()
    await expect(answer).not_to_have_text(whole)
    await expect(answer).to_have_text(re.compile(r"\w+ \w+"))
    await expect(page.get_by_role("button", name="Replay", exact=True)).to_be_visible()

    assert words(await answer.inner_text()) == whole
    turns = (await told(page, discussion))["turns"]
    assert [turn["attempts"] for turn in turns] == [1, 1]
    asked = await (await page.request.get(running_system.asked)).json()
    assert len([each for each in asked if "to be replayed" in str(each["body"])]) == len(turns)
    watched.behaved()
