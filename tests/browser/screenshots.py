"""Pictures of the page in each of its states, to be looked at.

python tests/browser/screenshots.py FOLDER
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from browser_page import chromium, until
from studio_server import running

WIDE = ViewportSize(width=1440, height=900)
PHONE = ViewportSize(width=390, height=844)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as data,
        running(Path(data)) as studio,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport=WIDE)

        def shoot(name: str, page: Page = page) -> None:
            page.wait_for_timeout(500)
            page.screenshot(path=folder / f"{name}.png")

        page.goto(studio.address)
        page.wait_for_selector("#gallery button")
        shoot("empty")
        page.click("#example")
        page.wait_for_selector("#stage[data-state=preview]")
        shoot("preview")
        page.click("#paint")
        until(page, "document.querySelector('#progress').value > 0.4")
        shoot("running")
        page.wait_for_selector("#stage[data-state=done]", timeout=300_000)
        page.fill("#wipe", "45")
        shoot("done")
        page.click("#advanced summary")
        page.wait_for_selector("#advanced input")
        shoot("advanced")
        phone = browser.new_page(viewport=PHONE, color_scheme="dark")
        phone.goto(page.url)
        phone.wait_for_selector("#stage[data-state=done]")
        shoot("phone", phone)
        phone.close()
        dark = browser.new_page(viewport=WIDE, color_scheme="dark")
        dark.goto(page.url)
        dark.wait_for_selector("#stage[data-state=done]")
        shoot("dark", dark)
        browser.close()


if __name__ == "__main__":
    main()
