"""Films and live pictures in a real browser, with Chromium's make-believe camera."""

from __future__ import annotations

import time

import av
import clips
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser_page import chromium, until
from PIL import Image
from playwright.sync_api import expect
from studio_server import running

from impasto.live.sinks import open_sink
from impasto.studio.server.certificate import own_address

SECOND, MINUTE = 1000, 60_000

pytestmark = [
    pytest.mark.video,
    pytest.mark.skipif(
        chromium() is None, reason="there is no Chromium here; make test installs it where it can"
    ),
]


PIXELS = """() => {
  const canvas = document.getElementById("shown");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const sums = [0, 0, 0];
  for (let i = 0; i < data.length; i += 4) for (let c = 0; c < 3; c++) sums[c] += data[i + c];
  return sums.map((sum) => sum / (data.length / 4));
}"""
SHOWN = "Number(document.getElementById('figures').dataset.shown ?? 0)"
HIDE = """() => {
  Object.defineProperty(document, "hidden", { get: () => true });
  window.requestAnimationFrame = () => 0;
  document.dispatchEvent(new Event("visibilitychange"));
}"""
"""What a browser does to a tab that isn't seen."""
READ_SLOWLY = """() => {
  const read = window.createImageBitmap;
  window.createImageBitmap = async (source) => {
    if (source instanceof File) await new Promise((resolve) => setTimeout(resolve, 700));
    return read(source);
  };
}"""


def test_live(open_page, studio, tmp_path):
    """The camera painted, another style at a click, recorded, and stopped."""
    page = open_page("/live", permissions=["camera"])
    page.click("#camera")
    expect(page.locator("#styles-error")).to_contain_text("Choose a style first")
    page.click("#gallery button[data-style=violet-spots]")
    page.select_option("#size", "320")
    page.click("#camera")
    until(page, f"{SHOWN} > 10")
    expect(page.locator("#status")).to_have_text("Live.")
    expect(page.locator("#figures")).to_contain_text("ms behind")
    first = page.evaluate(PIXELS)
    assert sum(first) > 30
    page.click("#gallery button[data-style=honey-wash]")
    before = page.evaluate(SHOWN)
    until(page, f"{SHOWN} > {before + 10}")
    second = page.evaluate(PIXELS)
    assert max(abs(a - b) for a, b in zip(first, second, strict=True)) > 10
    page.click("#record")
    before = page.evaluate(SHOWN)
    until(page, f"{SHOWN} > {before + 15}")
    page.click("#record")
    expect(page.locator("#status")).to_contain_text("Recorded")
    with page.expect_download() as download:
        page.click("#recording")
    download.value.save_as(tmp_path / "live.webm")
    with av.open(str(tmp_path / "live.webm")) as film:
        assert len(list(film.decode(video=0))) > 5
    assert not serious(page)
    page.click("#stop")
    expect(page.locator("#status")).to_have_text("Stopped.")
    page.click("#screen")  # or a tab: a game, say
    until(page, f"{SHOWN} > 5")
    page.click("#stop")
    assert studio.client.get("/v1/health").json()["status"] == "ok"


def test_live_goes_on_in_a_tab_that_is_not_seen(open_page):
    page = open_page("/live", permissions=["camera"])
    page.click("#gallery button[data-style=violet-spots]")
    page.select_option("#size", "320")
    page.click("#camera")
    until(page, f"{SHOWN} > 3")
    page.evaluate(HIDE)
    before = page.evaluate(SHOWN)
    until(page, f"{SHOWN} > {before + 5}", 20)


def test_a_large_painting_of_ones_own(open_page, tmp_path):
    """Of more bytes than a message may have; a style that is chosen while it is read counts."""
    noise = np.random.default_rng(0).integers(0, 255, (1600, 1600, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    assert (tmp_path / "noise.png").stat().st_size > 6_000_000
    page, told = open_page("/live", permissions=["camera"]), []
    page.on("websocket", lambda socket: socket.on("framesent", lambda sent: told.append(sent)))
    page.set_input_files("#style-input", tmp_path / "noise.png")
    page.wait_for_selector("#gallery button[aria-pressed=true]")
    page.select_option("#size", "320")
    page.click("#camera")
    until(page, f"{SHOWN} > 3")
    assert "painting" in told[0]
    page.evaluate(READ_SLOWLY)
    page.click("#gallery button[data-style=violet-spots]")
    page.click("#gallery button[data-style='noise.png']")
    page.click("#gallery button[data-style=honey-wash]")
    page.wait_for_timeout(1500)
    settings = [sent for sent in told if isinstance(sent, str)]
    assert "honey-wash" in settings[-1]


def test_a_film(open_page, frames, tmp_path):
    """Uploaded, painted while frames appear, played, downloaded with its sound."""
    source = clips.write(tmp_path / "clip.mp4", frames * 4, sound=True)
    page = open_page("/video", permissions=["camera"])
    page.click("#paint")
    expect(page.locator("#film-error")).to_contain_text("Choose a film first")
    page.set_input_files("#film-input", source)
    page.click("#gallery button[data-style=violet-spots]")
    page.click("#paint")
    page.wait_for_selector("#frame:not([hidden])", timeout=MINUTE)
    page.reload()  # it goes on
    expect(page.locator("#status")).to_contain_text("Done.", timeout=MINUTE)
    until(page, "document.getElementById('film').readyState > 1")
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "clip_violet-spots.mp4"
    download.value.save_as(tmp_path / "painted.mp4")
    with av.open(str(tmp_path / "painted.mp4")) as film:
        assert len(film.streams.audio) == 1
        painted = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(painted) == 96
    assert np.abs(painted[10].astype(int) - frames[10]).mean() > 15
    page.set_input_files("#film-input", source)
    page.click("#gallery button[data-style=violet-spots]")
    page.click("#paint")  # another: the one before isn't the one to be had
    expect(page.locator("#download")).to_have_attribute("aria-disabled", "true")
    assert page.locator("#download").get_attribute("href") is None
    expect(page.locator("#status")).to_contain_text("Done.", timeout=MINUTE)
    expect(page.locator("#download")).to_have_attribute("aria-disabled", "false")
    assert not serious(page)


def test_what_the_command_line_sends_is_watched(open_page, studio):
    sink = open_sink(f"studio:{studio.address}", 25)
    page = open_page("/live", permissions=["camera"])
    page.click("#watch")
    for number in range(6):
        sink.show(clips.photo(96, 64, number), time.monotonic())
        time.sleep(0.1)
    until(page, "document.getElementById('watched').naturalWidth === 96")
    page.click("#watch")
    expect(page.locator("#watched")).to_be_hidden()
    page.click("#watch")
    page.click("#gallery button[data-style=violet-spots]")
    page.click("#camera")  # which one wants to see
    until(page, f"{SHOWN} > 3")
    expect(page.locator("#watched")).to_be_hidden()
    expect(page.locator("#watch")).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#shown")).to_be_visible()
    sink.close()


def test_a_film_that_is_none(open_page, tmp_path):
    (tmp_path / "words.mp4").write_text("no film " * 100)
    page = open_page("/video", permissions=["camera"])
    page.set_input_files("#film-input", tmp_path / "words.mp4")
    page.click("#gallery button[data-style=violet-spots]")
    page.click("#paint")
    expect(page.locator("#job-error")).to_contain_text("isn't a film", timeout=MINUTE)


@pytest.mark.parametrize("path", ["live", "video"])
def test_on_a_phone(open_page, path):
    page = open_page(f"/{path}", viewport={"width": 390, "height": 844}, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not serious(page)


def test_the_camera_of_a_phone(open_page, tmp_path):
    """At this machine's address: browsers give a page a camera there by https alone."""
    if (address := own_address()) is None:
        pytest.skip("this machine has no address but its own")
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
    phone |= {"permissions": ["camera"], "ignore_https_errors": True}
    for scheme, options in (("https", ["--https"]), ("http", [])):
        options = [*options, "--host", "0.0.0.0", "--token", "sesame"]
        with running(tmp_path / scheme, *options) as studio:
            port = studio.address.rsplit(":", 1)[1]
            page = open_page(f"{scheme}://{address}:{port}/?token=sesame", **phone)
            page.tap("nav a[href='/live']")
            page.tap("#gallery button[data-style=violet-spots]")
            page.select_option("#size", "320")
            page.tap("#camera")
            if scheme == "https":
                until(page, f"{SHOWN} > 5")
                page.tap("#stop")
                page.context.close()
            else:
                expect(page.locator("#live-error")).to_contain_text("only over https")


def serious(page) -> list[str]:
    """What axe finds that keeps people out."""
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['target']}" for v in found]
