"""Chromium without a window: fixtures that open pages as a reader does, without a network."""

import os
import shutil

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
NEEDED = "BVALIGN_TESTS_NEED_CHROMIUM"
"""Where this variable is set, tests fail without Chromium instead of being skipped."""

DESKTOP, PHONE = (1400, 900), (420, 900)
OWN = ("file:", "data:", "blob:", "about:")


def in_chromium(test):
    """Marks a test that opens a page in a browser."""
    skipped = CHROMIUM is None and NEEDED not in os.environ
    reason = "no chromium on PATH; install it: apt-get install chromium"
    return pytest.mark.slow(pytest.mark.skipif(skipped, reason=reason)(test))


@pytest.fixture(scope="module")
def browser():
    """Chromium, for the tests of a file: Playwright's event loop runs until it is stopped."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, f"no chromium on PATH, and {NEEDED} is set: apt-get install chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser):
    """Opens a file as a page whose scripts have run; complaints and requests fail the test."""
    contexts, said = [], []

    def complain(message):
        if message.type in ("error", "warning") and "WebGL" not in message.text:  # no GPU
            said.append(message.text)

    def request(asked):
        if not asked.url.startswith(OWN):
            said.append(f"asked for {asked.url}")

    def open_(path, fragment="", *, size=DESKTOP, scheme="light"):
        """Opens `path#fragment` in a window of (width, height) with a color scheme."""
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", complain)
        page.on("pageerror", lambda error: said.append(f"{error}"))
        page.on("request", request)
        page.goto(f"file://{path.absolute()}#{fragment}")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert said == []
