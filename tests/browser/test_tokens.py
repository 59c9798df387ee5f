"""Access is given and taken back on the page: a token is seen once, and never again."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import Watched
from tests.browser.hands import fits, is_accessible, phone, sign_in
from tests.systems import RunningSystem

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def issued(page: Page, label: str, role: str = "viewer") -> str:
    """A new token, as the page shows it this once."""
    await page.get_by_label("Who is it for?").fill(label)
    await page.get_by_label("Role").select_option(role)
    await page.get_by_role("button", name="Issue the token").click()
    shown = page.get_by_label("The new token")
    await expect(shown).to_be_visible()
    return await shown.input_value()


async def test_a_token_is_issued_copied_used_and_taken_back(
    watched: Watched, chromium: Browser, running_system: RunningSystem
) -> None:
    page = watched.page
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await sign_in(page, running_system)
    await page.get_by_role("link", name="Access tokens").click()
    await expect(page.get_by_role("heading", level=1, name="Access tokens")).to_be_focused()
    own = page.locator("article").filter(has_text="yours, now")
    await expect(own).to_contain_text("owner")

    token = await issued(page, "Ada’s laptop")

    assert token.startswith("parley_")
    card = page.locator("article").filter(has_text="Ada’s laptop")
    await expect(card).to_contain_text("viewer")
    await expect(card).to_contain_text(", by first owner")
    await expect(page.get_by_role("button", name="Copy the token")).to_be_focused()
    await page.keyboard.press("Enter")
    assert await page.evaluate("navigator.clipboard.readText()") == token
    await page.get_by_role("button", name="Copy a sign-in link").click()
    link = await page.evaluate("navigator.clipboard.readText()")
    assert link == f"{running_system.url}/#token={token}"
    await is_accessible(page, "a new token")

    await page.get_by_role("button", name="I have it").click()
    assert token not in await page.content()
    await page.reload()
    await expect(card).to_be_visible()
    assert token not in await page.content()

    # With the link somebody else comes in, who may read and gives nobody access.
    other = await chromium.new_context()
    guest = await other.new_page()
    await guest.goto(link)
    await expect(guest.get_by_role("link", name="New question").first).to_be_visible()
    await expect(guest.get_by_role("link", name="Access tokens")).to_have_count(0)
    await guest.goto(f"{running_system.url}/#/tokens")
    await expect(guest.get_by_text("Ask one of them")).to_be_visible()

    await card.get_by_role("button", name="Revoke").click()
    await expect(card.get_by_role("button", name="Keep it")).to_be_focused()
    await card.get_by_role("button", name="Revoke for ever").click()
    await expect(card).not_to_be_visible()
    await page.get_by_text("that ended").click()
    await expect(card).to_contain_text("viewer, revoked")
    await expect(card.get_by_role("button")).to_have_count(0)
    await guest.reload()
    await expect(guest.get_by_label("Access token")).to_be_visible()
    await other.close()
    watched.behaved()


async def test_a_token_can_be_issued_with_the_keyboard_alone_and_ends_on_a_day(
    watched: Watched, running_system: RunningSystem
) -> None:
    page = watched.page
    await sign_in(page, running_system)
    await page.goto(f"{running_system.url}/#/tokens")
    await expect(page.get_by_role("heading", level=1, name="Access tokens")).to_be_focused()
    await expect(page.get_by_role("button", name="Issue the token")).to_be_visible()

    await page.keyboard.press("Tab")
    await expect(page.get_by_label("Who is it for?")).to_be_focused()
    await page.keyboard.type("The build")
    await page.keyboard.press("Tab")
    await page.keyboard.type("On a")
    await page.keyboard.press("Tab")
    await expect(page.get_by_label("Last day")).to_be_focused()
    await page.keyboard.type("03152031")
    await page.get_by_label("Role").focus()
    await page.keyboard.type("integration")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Issue the token")).to_be_focused()
    await page.keyboard.press("Enter")

    await expect(page.get_by_label("The new token")).to_be_visible()
    await expect(page.get_by_role("button", name="Copy a sign-in link")).to_have_count(0)
    card = page.locator("article").filter(has_text="The build")
    await expect(card).to_contain_text("integration")
    await expect(card).to_contain_text("March 15, 2031")
    watched.behaved()


async def test_the_only_owner_is_not_shut_out(page: Page, running_system: RunningSystem) -> None:
    await sign_in(page, running_system)
    await page.goto(f"{running_system.url}/#/tokens")
    own = page.locator("article").filter(has_text="yours, now")

    await own.get_by_role("button", name="Revoke").click()
    await expect(own).to_contain_text("You are signed out at once")
    await own.get_by_role("button", name="Revoke for ever").click()

    await expect(own.get_by_role("alert")).to_contain_text("only owner's token")
    await expect(own.get_by_role("alert")).to_contain_text("Issue another owner's token first")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_phone(
    chromium: Browser, running_system: RunningSystem, scheme: str
) -> None:
    async with phone(chromium, scheme) as page:
        await sign_in(page, running_system)
        await page.get_by_role("button", name="Discussions").tap()
        await page.get_by_role("link", name="Access tokens").tap()
        await issued(page, "Somebody with a very long name and a telephone in " + scheme, "admin")

        assert await fits(page)
        await expect(page.get_by_role("button", name="Copy the token")).to_be_in_viewport()
        await is_accessible(page, f"tokens, {scheme}")
