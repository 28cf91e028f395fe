"""The page in a real browser, on a real server: what a person does with it."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser_page import chromium, until
from old_recipes import INSTANT_RECIPE
from PIL import Image, PngImagePlugin
from playwright.sync_api import Page, expect
from studio_server import running

from impasto.images import metadata

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
SECOND, MINUTE = 1000, 60_000
DETAILS = ("instant", "draft", "studio", "poster")

pytestmark = pytest.mark.skipif(
    chromium() is None, reason="there is no Chromium here; make test installs it where it can"
)


@pytest.fixture
def files(tmp_path, photo_image, painting_image) -> tuple[Path, Path]:
    photo_image.resize((240, 160)).save(tmp_path / "cat.png")
    painting_image.resize((160, 200)).save(tmp_path / "field.png")
    return tmp_path / "cat.png", tmp_path / "field.png"


def choose(page: Page, files: tuple[Path, Path], *, detail: str = "draft", size: int = 64) -> None:
    photo, painting = files
    page.set_input_files("#photo-input", photo)
    page.set_input_files("#style-input", painting)
    page.check(f"input[name=detail][value={detail}]", force=True)
    page.fill("#size", str(size))


def set_steps(page: Page, steps: int) -> None:
    """Under Advanced."""
    page.click("#advanced summary")
    field = page.get_by_label(re.compile(r"^steps$", re.IGNORECASE))
    field.fill(str(steps))
    field.blur()


def state(page: Page, *states: str, timeout: float = MINUTE) -> None:
    selectors = ", ".join(f"#stage[data-state={name}]" for name in states)
    page.wait_for_selector(selectors, timeout=timeout)


def test_the_whole_way_from_upload_to_a_picture_whose_recipe_is_read_back(
    open_page, files, tmp_path
):
    page = open_page()
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert paint < 1000
    page.set_input_files("#photo-input", files[0])
    page.set_input_files("#style-input", files[1])
    state(page, "preview", timeout=10 * SECOND)
    page.check("input[name=detail][value=draft]", force=True)
    page.fill("#size", "64")
    page.fill("#strength", "1.5")
    expect(page.locator("#estimate")).to_contain_text("64 × 43 px")
    page.click("#paint")
    state(page, "running", "done")
    assert "#job=" in page.url
    state(page, "done")
    expect(page.locator("#history [data-job]").first).to_be_visible()
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "cat_field.png"
    picture = tmp_path / "made.png"
    download.value.save_as(picture)
    note = metadata.read_note(picture)
    assert note["recipe"]["strength"] == 1.5
    assert Image.open(picture).size == (64, 43)

    other = open_page()  # and its settings come back where it is dropped
    other.set_input_files("#recipe-input", picture)
    expect(other.locator("#strength")).to_have_value("1.5")
    expect(other.locator("#size")).to_have_value("64")


def test_a_refresh_in_the_middle_finds_the_picture_again(open_page, files):
    page = open_page()
    choose(page, files, size=96)
    set_steps(page, 400)
    page.click("#paint")
    state(page, "running")
    until(page, "document.querySelector('#progress').value > 0")
    address = page.url
    page.reload()
    state(page, "running")
    until(page, "document.querySelector('#picture').naturalWidth > 0")
    expect(page.locator("#size")).to_have_value("96")
    page.close()
    again = open_page(address[address.index("/", 8) :])
    state(again, "running")
    again.click("#stop")
    state(again, "stopped")
    expect(again.locator("#status")).to_contain_text(re.compile("stopped|kept", re.IGNORECASE))
    with again.expect_download() as download:
        again.click("#download")
    assert Image.open(download.value.path()).size == (96, 64)


def test_discard(open_page, files, studio):
    page = open_page()
    choose(page, files, size=96)
    set_steps(page, 3000)
    page.click("#paint")
    state(page, "running")
    id = page.url.partition("#job=")[2]
    page.click("#discard")
    page.click("#confirm-keep")
    state(page, "running")
    page.click("#discard")
    page.click("#confirm-action")
    state(page, "photo", "preview", "empty")
    deadline = time.monotonic() + 20
    while studio.client.get(f"/v1/jobs/{id}").status_code != 404:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "#job=" not in page.url


def test_two_paintings_of_one_name(open_page, files, studio, tmp_path):
    page = open_page()
    tiles, chosen = page.locator("#gallery button"), page.locator("#chosen li")
    expect(tiles).not_to_have_count(0)
    before = tiles.count()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.effect_noise((80, 80), 90).convert("RGB").save(tmp_path / folder / "image.png")
    own = [tmp_path / "a/image.png", tmp_path / "b/image.png"]
    page.set_input_files("#style-input", own)
    expect(chosen).to_have_count(2)
    page.set_input_files("#style-input", own[1])  # the same once more
    expect(chosen).to_have_count(2)
    expect(tiles).to_have_count(before + 2)
    page.set_input_files("#photo-input", files[0])
    page.check("input[name=detail][value=instant]", force=True)
    page.fill("#size", "64")
    page.click("#paint")
    state(page, "done")
    id = page.url.partition("#job=")[2]
    assert [part["name"] for part in studio.get(id)["styles"]] == ["image.png", "image (2).png"]
    sent = [studio.client.get(f"/v1/jobs/{id}/styles/{n}").content for n in (0, 1)]
    assert sent == [path.read_bytes() for path in own]

    other = open_page()  # an old job doesn't replace what has been added since
    (tmp_path / "image.png").write_bytes(files[1].read_bytes())
    other.set_input_files("#style-input", tmp_path / "image.png")
    expect(other.locator("#chosen li")).to_have_count(1)
    other.locator(f"#history [data-job='{id}'] button").first.click()
    expect(other.locator("#chosen li")).to_have_count(2)
    expect(other.locator("#gallery button")).to_have_count(before + 3)


def test_the_preview_of_a_transparent_photo_is_transparent(open_page, tmp_path):
    photo = Image.new("RGBA", (1200, 800))
    photo.paste((200, 100, 50, 255), (300, 200, 900, 600))
    photo.save(tmp_path / "round.png")
    page = open_page()
    page.set_input_files("#photo-input", tmp_path / "round.png")
    page.locator("[data-style=starry-swirl]").click()
    state(page, "preview")
    small = """(await import("/page/state.js")).state.photo.small"""
    assert page.evaluate(ALPHA_OF.replace("IMAGE", small)) == [768, 512, 0, 255]
    shown = """document.querySelector("#picture")"""
    size_and_alpha = page.evaluate(ALPHA_OF.replace("IMAGE", shown))
    assert size_and_alpha[2:] == [255, 255]  # a JPEG, white where there is nothing
    assert page.evaluate(CORNER_OF.replace("IMAGE", shown)) > 250


PIXELS_OF = """async () => {
    const bitmap = await createImageBitmap(IMAGE);
    const { width, height } = bitmap;
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height }).getContext("2d").drawImage(bitmap, 0, 0);
    const at = (x, y) => canvas.getContext("2d").getImageData(x, y, 1, 1).data;
    return RESULT;
}"""
ALPHA_OF = PIXELS_OF.replace("RESULT", "[width, height, at(2, 2)[3], at(width / 2, height / 2)[3]]")
CORNER_OF = PIXELS_OF.replace("RESULT", "at(2, 2)[1]")


def test_a_bad_file_is_said_where_it_was_chosen(open_page, files, tmp_path):
    page = open_page()
    (tmp_path / "notes.txt").write_text("not a picture")
    page.set_input_files("#photo-input", tmp_path / "notes.txt")
    expect(page.locator("#photo-error")).to_contain_text("notes.txt")
    page.set_input_files("#photo-input", files[0])
    expect(page.locator("#photo-error")).to_be_empty()
    page.fill("#size", "20")
    page.set_input_files("#style-input", files[1])
    page.click("#paint")
    expect(page.locator("#settings-error")).to_contain_text("at least 32")


def test_on_a_phone(open_page, files):
    page = open_page(viewport=PHONE, has_touch=True, is_mobile=True, color_scheme="dark")
    page.tap("#example")
    state(page, "preview")
    box = page.locator("#paint").bounding_box()
    assert box["y"] + box["height"] <= PHONE["height"]  # within reach at once
    assert box["height"] >= 40
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.check("input[name=detail][value=instant]", force=True)
    page.tap("#paint")
    state(page, "done")


def test_by_keyboard_alone(open_page):
    page = open_page()

    def go_to(selector: str) -> None:
        for _ in range(80):
            page.keyboard.press("Tab")
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"{selector} can't be reached by Tab")

    go_to("#example")
    page.keyboard.press("Enter")
    state(page, "preview")
    go_to("#style-search")
    page.keyboard.type("harv")
    expect(page.locator("#gallery button:visible")).to_have_count(1)
    go_to("[data-style=harvest]")
    page.keyboard.press("Space")
    expect(page.locator("[data-style=harvest]")).to_have_attribute("aria-pressed", "true")
    go_to("input[name=detail]")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("input[name=detail][value=instant]")).to_be_checked()
    go_to("#paint")
    page.keyboard.press("Enter")
    state(page, "done")
    page.locator("#wipe").focus()
    page.keyboard.press("End")
    expect(page.locator("#wipe")).to_have_value("100")


def test_history_reopens_compares_and_deletes(open_page, studio, files):
    page = open_page()
    choose(page, files, detail="instant", size=96)
    made = page.locator("#history [data-job]")
    before = len(studio.client.get("/v1/jobs").json()["jobs"])
    for strength in ("0.5", "1"):
        page.fill("#strength", strength)
        page.click("#paint")
        before += 1
        expect(made).to_have_count(before)
        expect(made.first.locator("input[type=checkbox]")).to_be_enabled()  # it is done
    older = made.nth(1)
    older.locator("button").first.click()
    expect(page.locator("#strength")).to_have_value("0.5")
    for index in (0, 1):
        made.nth(index).locator("input[type=checkbox]").check(force=True)
    expect(page.locator("#before")).to_be_visible()
    made.nth(0).locator("button").last.click()
    page.click("#confirm-action")
    expect(made).to_have_count(before - 1)


def test_continue_larger_and_a_lost_connection(open_page, files, tmp_path):
    with running(tmp_path / "data") as own:
        page = open_page(own.address)
        choose(page, files, size=64)
        set_steps(page, 20)
        page.click("#paint")
        state(page, "done")
        page.select_option("#continue-with", "larger")
        page.click("#continue")
        state(page, "running")
        own.kill()
        expect(page.locator("#status")).to_contain_text("trying again")
        own.start(own.address.rpartition(":")[2])
        state(page, "done")
        expect(page.locator("#status")).to_contain_text("128 × 85")


def test_what_fails_says_why(open_page, studio, files, tmp_path):
    broken = tmp_path / "broken.jpg"
    Image.open(files[1]).save(broken)
    broken.write_bytes(broken.read_bytes()[:1500])  # its first bytes are all right
    page = open_page()
    page.set_input_files("#style-input", broken)
    expect(page.locator("#styles-error")).to_contain_text("broken.jpg")
    sent = {"content": files[0].read_bytes(), "styles": ("broken.jpg", broken.read_bytes())}
    job = studio.client.post("/v1/jobs", files=sent).json()
    page = open_page(f"/#job={job['id']}")
    state(page, "failed")
    expect(page.locator("#job-error")).to_contain_text("broken.jpg is damaged")


def test_without_the_token_it_says_so(open_page, tmp_path):
    with running(tmp_path / "data", "--token", "sesame") as own:
        page = open_page(own.address, ready="form")
        expect(page.locator("body")).to_contain_text("needs its token")
        page.fill("input[name=token]", "sesame")
        page.click("button")
        page.wait_for_load_state("networkidle")
        assert page.locator("#gallery button").count() > 8
        assert "token" not in page.url


def test_an_old_picture_brings_back_the_settings_of_its_method(open_page, files, studio, tmp_path):
    note = {
        "recipe": {**INSTANT_RECIPE, "size": 64, "strength": 0.5, "steps": 33},
        "content": {"name": "cat.png"},
        "styles": [{"name": "starry-swirl", "weight": 1.0}],
    }
    text = PngImagePlugin.PngInfo()
    text.add_text(metadata.PNG_KEY, metadata.to_text(note))
    Image.new("RGB", (64, 64)).save(tmp_path / "old.png", pnginfo=text)
    page = open_page()
    page.set_input_files("#recipe-input", tmp_path / "old.png")
    expect(page.locator("#strength")).to_have_value("0.5")
    expect(page.locator("#size")).to_have_value("64")
    expect(page.locator("input[name=detail][value=instant]")).to_be_checked()
    page.set_input_files("#photo-input", files[0])
    page.click("#paint")
    state(page, "done")
    recipe = studio.get(page.url.partition("#job=")[2])["recipe"]
    assert (recipe["method"], recipe["strength"], recipe["size"]) == ("instant", 0.5, 64)
    assert "steps" not in recipe


def test_a_built_in_style_selects_the_method_that_knows_it(open_page, files, studio):
    page = open_page()
    choose(page, files)
    set_steps(page, 20)
    steps = page.locator("#setting-steps")
    statistics = page.locator("#setting-statistics")
    detail = {name: page.locator(f"input[name=detail][value={name}]") for name in DETAILS}
    expect(steps).to_be_enabled()
    expect(statistics).to_be_disabled()
    page.locator("[data-style=starry-swirl]").click()
    expect(detail["instant"]).to_be_checked()
    for name in DETAILS:
        expect(detail[name]).to_be_enabled(enabled=name == "instant")
    expect(steps).to_be_disabled()
    expect(statistics).to_be_enabled()
    expect(page.locator("#estimate")).to_contain_text("64 × 43 px")
    page.click("#paint")
    state(page, "done")
    job = studio.get(page.url.partition("#job=")[2])
    assert (job["method"], job["styles"][0]["name"]) == ("instant", "starry-swirl")
    assert "steps" not in job["recipe"]
    expect(page.locator("#progress-text")).not_to_contain_text("Step")
    expect(page.locator("#continue")).to_be_disabled()
    page.locator("[data-style=harvest]").click()  # a painting, for every method
    expect(detail["draft"]).to_be_checked()
    expect(steps).to_have_value("20")


@pytest.mark.parametrize("width", [1000, 800, 390])
def test_no_width_scrolls_sideways(width, open_page):
    page = open_page(viewport={"width": width, "height": 800})
    page.click("#example")
    state(page, "preview")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_mask_by_brush(open_page, files, studio):
    page = open_page()
    choose(page, files, detail="instant", size=96)
    state(page, "preview")
    page.click("#brush")
    box = page.locator("#picture").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    page.click("#paint")
    state(page, "done")
    job = studio.get(page.url.partition("#job=")[2])
    assert job["mask"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_for_axe(scheme, open_page):
    page = open_page(color_scheme=scheme, bypass_csp=True)
    page.click("#example")
    state(page, "preview")
    page.click("#advanced summary")
    page.wait_for_selector("#advanced input")
    found = Axe().run(page).response["violations"]
    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    assert not serious, [(v["id"], v["nodes"][0]["html"]) for v in serious]
