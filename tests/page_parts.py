"""What tests of the live page look for on it."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

__all__ = ["assert_fits", "live", "row", "sign_in", "tile"]


def live(page: Page, url: str) -> Page:
    """Open the page and wait until it is up to date."""
    page.goto(url)
    expect(page.locator("#status")).to_have_text("live")
    return page


def tile(page: Page, name: str) -> Locator:
    """Give the number of a tile."""
    return page.locator(".tiles > div", has_text=name).locator("[data-f=value]")


def row(page: Page, question: str) -> Locator:
    """Give the row of a question."""
    return page.locator("#rows tr", has_text=question)


def assert_fits(page: Page) -> None:
    """Check that nothing is wider than the window, and that axe finds nothing."""
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    found = Axe().run(page).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []


def sign_in(page: Page, key: str) -> None:
    """Fill the form."""
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
