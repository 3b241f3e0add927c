"""A real browser, for tests of pages: one for each file of them, and a window of its own for each test."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from cluster.install import Unavailable
from cluster.install import browser as chromium
from waiting import PATIENCE

__all__ = ["browser", "page"]

_FLAGS = [
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="module")  # its event loop runs all the while, and tests elsewhere have loops of their own
def browser() -> Iterator[Browser]:
    """Give Chromium. Skips the test where it cannot be had at all, but for CI, which has everything."""
    try:
        program = chromium()
    except Unavailable as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=program, args=_FLAGS)
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Give a window that nothing is known of. A test fails where a script in it did, or where it left this machine."""
    wrong: list[str] = []
    with browser.new_context(viewport={"width": 1200, "height": 1000}) as context:
        context.set_default_timeout(PATIENCE * 1000)
        made = context.new_page()
        made.on("pageerror", lambda error: wrong.append(str(error)))
        made.on(
            "console", lambda message: wrong.append(message.text) if _is_trouble(message.type, message.text) else None
        )
        made.on(
            "request",
            lambda request: wrong.append(request.url) if not request.url.startswith("http://127.0.0.1:") else None,
        )
        yield made
    assert wrong == []


def _is_trouble(kind: str, text: str) -> bool:
    # the browser tells of each answer that is no success; some of them are what tests are about
    return kind in {"error", "warning"} and "Failed to load resource" not in text
