"""The page as people use it: ask, watch, reload in the middle, lose nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect

from shared.ids import fresh
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
from tests.browser.line import Line
from tests.systems import RunningSystem

pytestmark = pytest.mark.asyncio(loop_scope="session")

expect.set_options(timeout=15_000)

LONG = "[[rate: 30 ; many: 120]]"
SHORT = "[[text: Milk first. ; many: 20]]"


async def shows_the_truth(page: Page, discussion: str) -> None:
    """Each column has the text that GET has, and says who spoke on which model at what price."""
    view = await told(page, discussion)
    assert view["state"] == "completed"
    for turn in view["turns"]:
        said = column(page, turn["name"])
        assert words(await said.locator(".answer").inner_text()) == words(turn["text"])
        await expect(said.locator(".model")).to_have_text(turn["model"])
        await expect(said.locator(".figures:not(.remarks)")).to_contain_text("1 request")


async def test_the_link_signs_in_and_the_token_leaves_the_address(
    watched: Watched, running_system: RunningSystem
) -> None:
    page = watched.page
    await sign_in(page, running_system)

    assert page.url == f"{running_system.url}/#/"
    await expect(page.get_by_role("checkbox", name=RILEY)).to_be_checked()
    await expect(page.get_by_role("checkbox", name=MORGAN)).to_be_checked()
    await expect(page.get_by_role("checkbox", checked=True)).to_have_count(2)
    await expect(page.get_by_role("checkbox")).to_have_count(6)
    cookies = await page.context.cookies()
    assert [(c.get("httpOnly"), c.get("sameSite")) for c in cookies] == [(True, "Strict")]
    await page.reload()
    await expect(page.get_by_role("checkbox", name=RILEY)).to_be_checked()
    watched.behaved()


async def test_without_a_session_the_page_says_where_the_token_is(
    page: Page, running_system: RunningSystem
) -> None:
    await page.goto(running_system.url)
    await expect(page.get_by_text("cat .parley/owner-token")).to_be_visible()

    await page.get_by_label("Access token").fill("wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("token")

    await page.get_by_label("Access token").fill(running_system.token)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="What shall they discuss?")).to_be_visible()

    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("Access token")).to_be_visible()
    await page.reload()
    await expect(page.get_by_label("Access token")).to_be_visible()


async def test_two_personas_answer_side_by_side_and_a_reload_loses_nothing(
    watched: Watched, running_system: RunningSystem
) -> None:
    page = watched.page
    await sign_in(page, running_system)
    discussion = await ask(page, LONG)

    riley = column(page, RILEY)
    await expect(riley.locator(".answer")).to_have_text(re.compile(r"\w+ \w+ \w+"))
    await expect(column(page, MORGAN).locator(".answer")).to_have_text(re.compile(r"\w+ \w+"))
    await expect(riley).to_have_attribute("aria-busy", "true")
    before = words(await riley.locator(".answer").inner_text())

    await page.reload()

    await expect(riley.locator(".answer")).to_contain_text(before[:40])
    await expect(riley).to_have_attribute("aria-busy", "true")
    await finished(page)
    await shows_the_truth(page, discussion)
    watched.behaved()


async def reading_over(line: Line, page: Page, system: RunningSystem) -> str:
    """A discussion whose words come over this line."""
    await page.goto(f"{line.url}/#token={system.token}")
    await expect(page.get_by_label("Your question")).to_be_visible()
    discussion = await ask(page, LONG)
    await expect(column(page, RILEY).locator(".answer")).to_have_text(re.compile(r"\w+ \w+"))
    return discussion


async def test_a_lost_line_is_told_and_mended(
    page: Page, line: Line, running_system: RunningSystem
) -> None:
    discussion = await reading_over(line, page, running_system)

    # A proxy's 502 makes the browser give up for good: the page itself must come back.
    line.answer_502()
    await expect(page.locator(".line")).to_have_text(re.compile("lost the line; again"))
    before = words(await column(page, RILEY).locator(".answer").inner_text())
    assert "word0 word1" in before, "what was heard stays on the page"
    line.mend()
    await finished(page)
    await shows_the_truth(page, discussion)


async def test_a_restarted_server_is_found_again(
    page: Page, line: Line, running_system: RunningSystem
) -> None:
    discussion = await reading_over(line, page, running_system)

    line.refuse()
    await expect(page.locator(".line")).to_have_text("connecting…")
    line.mend()

    await finished(page)
    await shows_the_truth(page, discussion)


async def test_a_finished_discussion_opens_without_a_stream(
    watched: Watched, running_system: RunningSystem
) -> None:
    page = watched.page
    await sign_in(page, running_system)
    discussion = await ask(page, SHORT)
    await finished(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    await page.reload()
    await finished(page)
    await shows_the_truth(page, discussion)

    assert not [url for url in asked if url.endswith("/events")]
    await expect(page.locator("#recent [aria-current=page]")).to_contain_text("answered")
    watched.behaved()


async def test_what_was_left_out_is_said_under_the_answer(
    watched: Watched, running_system: RunningSystem
) -> None:
    page = watched.page
    await sign_in(page, running_system)
    body = {
        "topic": "[[text: Warm.]]",
        "participants": [{"persona": "riley-engstrom"}],
        "options": {"temperature": 0.2},
    }
    where = page.url.partition("#")[0]
    opened = await page.request.post(
        f"{where}api/v1/discussions", data=body, headers={"Origin": where.rstrip("/")}
    )
    discussion = (await opened.json())["id"]

    await page.goto(f"{where}#/d/{discussion}")
    await finished(page)
    remark = column(page, "Riley Engstrom").locator(".remarks")
    await expect(remark).to_contain_text("temperature was left out: kimi-")
    await shows_the_truth(page, discussion)
    watched.behaved()


async def test_everything_can_be_done_with_the_keyboard(
    watched: Watched, running_system: RunningSystem
) -> None:
    page = watched.page
    await sign_in(page, running_system)

    await expect(page.get_by_label("Your question")).to_be_focused()
    await page.keyboard.type(LONG)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Ask")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("radio", name="Answer")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("checkbox", name=RILEY)).to_be_focused()
    await page.keyboard.press("Space")
    await expect(page.get_by_text("Morgan answers.")).to_be_visible()
    for _ in range(3):
        await page.keyboard.press("Shift+Tab")
    await page.keyboard.press("Control+Enter")

    await expect(page.locator(".column")).to_have_count(1)
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator(".discussion .state")).to_have_text("cancelled")
    await expect(column(page, MORGAN)).to_contain_text("Cancelled")
    watched.behaved()


async def test_what_was_being_said_stays_when_it_is_cancelled(
    watched: Watched, running_system: RunningSystem
) -> None:
    page = watched.page
    await sign_in(page, running_system)
    await ask(page, LONG)
    answer = column(page, RILEY).locator(".answer")
    await expect(answer).to_contain_text("word9")
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator(".discussion .state")).to_have_text("cancelled")
    await expect(answer).to_contain_text("word9")

    await page.reload()
    await expect(answer).to_contain_text("word9")
    kept = words(await answer.inner_text())
    await page.get_by_role("button", name="Replay").click()
    await expect(answer).to_have_text(re.compile(r"^word0(?!.*\bword9\b)"))
    await expect(page.get_by_role("button", name="Replay", exact=True)).to_be_visible()
    assert words(await answer.inner_text()) == kept
    watched.behaved()


async def test_the_skip_link_comes_first_and_leads_past_the_list(
    page: Page, running_system: RunningSystem
) -> None:
    await sign_in(page, running_system)
    skip = page.get_by_role("link", name="Skip to the content")
    assert await skip.evaluate("link => link === document.querySelector('a, button, input')")

    await skip.focus()
    await expect(skip).to_be_in_viewport()
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("main")).to_be_focused()
    assert page.url == f"{running_system.url}/#/"


async def test_waiting_and_failing_are_told_in_words(
    watched: Watched, running_system: RunningSystem
) -> None:
    page = watched.page
    await sign_in(page, running_system)

    await ask(page, "[[error: 429 engine_overloaded_error retry-after=8 overloaded]]")
    riley = column(page, RILEY)
    await expect(riley.locator(".turn-state")).to_have_text("waiting")
    await expect(riley.locator(".countdown")).to_have_text(re.compile(r"Tries again in \d+ s"))
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator(".discussion .state")).to_have_text("cancelled")

    await page.get_by_role("link", name="New question").first.click()
    await ask(page, "[[like: filtered]]")
    await expect(page.locator(".discussion .state")).to_have_text("failed")
    failure = (await told(page, page.url.rpartition("/")[2]))["turns"][0]["failure"]
    await expect(riley).to_contain_text(failure["title"])
    await expect(riley).to_contain_text(failure["next_step"])
    watched.behaved()


async def test_what_a_model_says_stays_text(
    watched: Watched, running_system: RunningSystem
) -> None:
    page = watched.page
    await sign_in(page, running_system)
    evil = "<img src=x onerror=alert(1)> [here](javascript:alert(1)) <script>alert(1)</script>"
    await ask(page, f"[[text: {evil}]]")
    await finished(page)

    said = column(page, RILEY).locator(".answer")
    await expect(said).to_contain_text("<img src=x onerror=alert(1)>")
    await expect(said.locator("img, script, a")).to_have_count(0)
    watched.behaved()


async def test_a_refused_question_is_kept_with_the_reason(
    page: Page, running_system: RunningSystem
) -> None:
    async def with_a_retired_model(route: Route) -> None:
        if route.request.method != "POST":
            await route.continue_()
            return
        body: Any = route.request.post_data_json
        body["participants"][0]["model"] = "kimi/kimi-latest"
        await route.continue_(post_data=body)

    await sign_in(page, running_system)
    await page.route("**/api/v1/discussions", with_a_retired_model)
    await page.get_by_label("Your question").fill("Tea?")
    await page.get_by_role("button", name="Ask").click()

    await expect(page.get_by_role("alert")).to_contain_text("kimi/kimi-k2.6")
    await expect(page.get_by_label("Your question")).to_have_value("Tea?")
    await page.reload()
    await expect(page.get_by_label("Your question")).to_have_value("Tea?")


async def test_a_key_is_added_and_its_state_told_plainly(
    page: Page, running_system: RunningSystem
) -> None:
    await sign_in(page, running_system)
    await page.get_by_role("link", name="Keys and providers").click()
    cards = page.locator("section[aria-labelledby=your-keys] article")
    await expect(cards.filter(has_text="active").first).to_be_visible()
    await expect(page.get_by_label("Key", exact=True)).to_have_attribute("type", "password")

    await page.get_by_label("Provider", exact=True).select_option("kimi")
    await page.get_by_label("Key", exact=True).fill("sk-wrong-key-0123456789abcdefghijkl")
    await page.get_by_label("Label").fill("from the page")
    await page.get_by_role("button", name="Add the key").click()

    verdict = page.locator("form .note")
    await expect(verdict).to_contain_text("quarantined")
    added = cards.filter(has_text="from the page")
    await expect(added).to_contain_text("refused by the provider")
    await expect(page.get_by_label("Key", exact=True)).to_have_value("")
    assert "sk-wrong" not in await page.content()

    # It gets another secret, which is no better: everything stays, and the page says why.
    await added.get_by_role("button", name="Rotate").click()
    await added.get_by_label("New secret").fill("sk-wrong-key-9876543210abcdefghijkl")
    await added.get_by_role("button", name="Rotate the key").click()
    await expect(added).to_contain_text("The provider does not take the new secret")
    await is_accessible(page, "a key")
    await added.get_by_role("button", name="Disable").click()
    await expect(added).to_contain_text("disabled: not in use")
    await added.get_by_role("button", name="Revoke").click()
    await expect(added.get_by_role("button", name="Keep it")).to_be_focused()
    await added.get_by_role("button", name="Revoke for ever").click()
    await expect(added).to_contain_text("revoked: revoked")
    await page.get_by_role("button", name="Remove dead keys").click()
    await page.get_by_role("button", name="Remove them").click()
    await expect(added).to_have_count(0)


async def test_an_endpoint_is_added_and_removed(page: Page, running_system: RunningSystem) -> None:
    await sign_in(page, running_system)
    await page.get_by_role("link", name="Keys and providers").click()
    form = page.get_by_role("form", name="Add an endpoint")
    await form.get_by_label("Name").fill("from-page")
    await form.get_by_label("Title").fill("From the page")
    await form.get_by_label("Address").fill("http://10.0.0.5/v1")
    await form.get_by_role("button", name="Add the endpoint").click()
    await expect(form.get_by_role("alert")).to_contain_text("must be https")
    await is_accessible(page, "an endpoint that is refused")

    await form.get_by_label("Address").fill("https://llm.from-page.example/v1/")
    await form.get_by_role("button", name="Add the endpoint").click()
    own = page.locator("section[aria-labelledby=own-endpoints] article")
    added = own.filter(has_text="From the page")
    await page.get_by_label("Provider", exact=True).select_option("from-page")
    await expect(added).to_contain_text("https://llm.from-page.example/v1")

    await added.get_by_role("button", name="Remove").click()
    await expect(added.get_by_role("button", name="Keep it")).to_be_focused()
    await added.get_by_role("button", name="Remove it").click()
    await expect(added).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_is_accessible(
    chromium: Browser, running_system: RunningSystem, scheme: Any
) -> None:
    context = await chromium.new_context(color_scheme=scheme, reduced_motion="reduce")
    page = await context.new_page()
    await page.goto(running_system.url)
    await expect(page.get_by_label("Access token")).to_be_visible()
    await is_accessible(page, "signing in")
    await sign_in(page, running_system)
    await is_accessible(page, "asking")
    await ask(page, "[[think: Hm. ; text: Milk first. ; many: 20]]")
    await finished(page)
    await is_accessible(page, "a discussion")
    await page.goto(f"{running_system.url}/#/keys")
    await expect(page.locator("article").first).to_be_visible()
    await is_accessible(page, "keys")
    await context.close()


async def test_a_phone_has_it_all(chromium: Browser, running_system: RunningSystem) -> None:
    async with phone(chromium) as page:
        watched = Watched(page, running_system.url)
        await sign_in(page, running_system)
        await ask(page, SHORT)
        await finished(page)

        assert await fits(page)
        await page.get_by_role("navigation", name="Answers").get_by_text(MORGAN).tap()
        await expect(column(page, MORGAN).locator(".answer")).to_be_in_viewport()
        await page.get_by_role("button", name="Discussions").tap()
        await expect(page.get_by_role("link", name="Keys and providers")).to_be_in_viewport()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("link", name="Keys and providers")).not_to_be_in_viewport()
        watched.behaved()


async def test_a_discussion_is_found_renamed_exported_and_deleted(
    watched: Watched, running_system: RunningSystem
) -> None:
    page = watched.page
    await sign_in(page, running_system)
    word = f"w{fresh()[-12:]}"
    discussion = await ask(page, f"[[text: It was {word} all along.]] Who was it?")
    await finished(page)
    line = page.locator(f'#recent a[href="#/d/{discussion}"]')

    await page.get_by_label("Search discussions").fill(f"{word} along")
    await expect(page.locator("#recent a")).to_have_count(1)
    await expect(line).to_be_visible()
    await page.get_by_label("Search discussions").fill(f"{word} never")
    await expect(page.get_by_text("Nothing was said with all of these words.")).to_be_visible()
    await page.get_by_label("Search discussions").fill("")

    await page.get_by_role("button", name="Rename").click()
    await expect(page.get_by_label("Title")).to_be_focused()
    await page.keyboard.type("The culprit")
    await page.keyboard.press("Enter")
    await expect(line).to_contain_text("The culprit")
    await is_accessible(page, "a renamed discussion")

    async with page.expect_download() as started:
        await page.get_by_role("link", name="Export").click()
    download = await started.value
    assert download.suggested_filename == "the-culprit.md"

    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    await page.get_by_role("button", name="Delete for good").click()
    await expect(page.get_by_role("heading", name="What shall they discuss?")).to_be_visible()
    await expect(line).to_have_count(0)
    await page.goto(f"{running_system.url}/#/d/{discussion}")
    await expect(page.get_by_role("alert")).to_contain_text("This discussion was deleted")
