"""A style is learned on the page, and used at once."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser_page import chromium, until
from playwright.sync_api import expect
from style_files import style_bytes

from impasto.styles import style_file

MINUTE = 60_000

pytestmark = pytest.mark.skipif(
    chromium() is None, reason="there is no Chromium here; make test installs it where it can"
)


def test_a_style_is_learned_and_used(open_page, studio, tmp_path):
    """Begun, gone on with after a reload, stopped and kept, downloaded, painted with."""
    page = open_page("/learn")
    page.click("#start")
    expect(page.locator("#styles-error")).to_contain_text("Choose a painting first")
    assert page.locator("#gallery button[data-style=violet-spots]").count() == 0
    page.click("#gallery button[data-style=harvest]")
    expect(page.get_by_label("Name of the style")).to_have_value("The Harvest")
    page.get_by_label("Name of the style").fill("Wheat")
    page.get_by_label("Quality").select_option("draft")
    page.click("#start")
    page.wait_for_selector("#sheet:not([hidden])", timeout=MINUTE)
    page.reload()  # it goes on
    until(page, "document.getElementById('sheet').naturalWidth > 500")
    expect(page.locator("#progress-text")).to_contain_text("% done")
    page.click("#stop")
    expect(page.locator("#status")).to_have_text(
        "Stopped; the style is kept. Wheat is in your library.", timeout=MINUTE
    )
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "Wheat.style"
    download.value.save_as(tmp_path / "Wheat.style")
    assert style_file.read_info((tmp_path / "Wheat.style").read_bytes(), "it").name == "Wheat"
    assert not Axe().run(page).response["violations"]
    page.click("#use-picture")
    expect(page.locator("#chosen li")).to_have_attribute("data-name", "Wheat")
    expect(page.locator("#detail-note")).to_contain_text("the method learned paints it")
    page.set_input_files("#style-input", tmp_path / "Wheat.style")  # blends with it
    expect(page.locator("#chosen li")).to_have_count(2)
    page.click("#example")
    expect(page.locator("#badge")).to_contain_text("preview", ignore_case=True)
    page.click("#paint")
    expect(page.locator("#status")).to_contain_text("Done:", timeout=MINUTE)
    job = studio.client.get("/v1/jobs").json()["jobs"][0]
    assert job["method"] == "learned"
    assert [style["name"] for style in job["styles"]] == ["Wheat", "Wheat.style"]
    page.reload()  # its styles come back
    expect(page.locator("#chosen li")).to_have_count(2)


def test_a_style_file_paints_live_pictures(open_page, tmp_path):
    (tmp_path / "mine.style").write_bytes(style_bytes())
    page = open_page("/live", permissions=["camera"])
    page.set_input_files("#style-input", tmp_path / "mine.style")
    expect(page.locator("#gallery button[aria-pressed=true]")).to_have_text("mine")
    page.select_option("#size", "320")
    page.click("#camera")
    expect(page.locator("#figures")).to_contain_text("by the method learned", timeout=MINUTE)
    page.click("#gallery button[data-style=violet-spots]")
    expect(page.locator("#figures")).to_contain_text("by the method instant")


def test_on_a_phone(open_page):
    page = open_page("/learn", viewport={"width": 390, "height": 844}, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not Axe().run(page).response["violations"]


def test_a_file_that_is_no_style(open_page, tmp_path):
    (tmp_path / "words.style").write_text("no style " * 100)
    page = open_page("/")
    page.set_input_files("#style-input", tmp_path / "words.style")
    expect(page.locator("#styles-error")).to_contain_text("words.style isn't a style file")
