"""A real browser for the page's tests, whatever Chromium this machine has; in its pages nothing may
go wrong.
"""

from __future__ import annotations

import re
import shutil
import time

import pytest
from playwright.sync_api import Page, sync_playwright
from studio_server import running

SECOND = 1000
WIDE = {"width": 1280, "height": 800}
MAKE_BELIEVE_CAMERA = [
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--auto-select-desktop-capture-source=Entire screen",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str | None:
    """Its path, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def until(page: Page, expression: str, seconds: float = 60) -> None:
    """Wait until the expression is true. Playwright's own way needs ``eval``, which the page's
    policy forbids.
    """
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    with running(tmp_path_factory.mktemp("studio") / "data") as studio:
        yield studio


@pytest.fixture(scope="module")  # while it is there, its event loop runs in this thread
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", *MAKE_BELIEVE_CAMERA]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, studio):
    """Open the page in a window of its own; nothing may go wrong in its scripts."""
    contexts, complaints = [], []

    def open_page(address: str = "/", ready: str = "#gallery button", **options) -> Page:
        address = studio.address + address if address.startswith("/") else address
        origin = re.match(r"https?://[^/]+", address)[0]
        context = browser.new_context(**{"viewport": WIDE, "accept_downloads": True, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30 * SECOND)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: _note(said, complaints))
        page.on("request", lambda request: _must_be_here(request.url, origin, complaints))
        page.goto(address)
        page.wait_for_selector(ready)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


def _note(said, complaints: list[str]) -> None:
    failed_request = "Failed to load resource" in said.text  # an answer with an error's status
    unencrypted = "header has been ignored" in said.text  # by http from elsewhere
    if said.type == "error" and not failed_request and not unencrypted:
        complaints.append(said.text)


def _must_be_here(url: str, origin: str, complaints: list[str]) -> None:
    if not url.startswith((origin, origin.replace("http", "ws", 1), "blob:", "data:")):
        complaints.append(f"a request to {url}")
