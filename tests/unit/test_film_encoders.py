"""Films: their pictures, sizes and times; and the timelapse of a run, whose steps are made up."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from impasto import Timelapse
from impasto.base.errors import OutputError
from impasto.images.film_encoders import FilmEncoder, GifEncoder, Mp4Encoder, WebPEncoder

pytestmark = pytest.mark.video

WIDTH, HEIGHT = 64, 48


def flat(grey: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    return np.full((height, width, 3), grey, np.uint8)


def frames_of(path: Path) -> list[tuple[float, np.ndarray]]:
    """(seconds, picture) of every frame."""
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            seconds = float(1 / stream.average_rate)
            pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
            return [(seconds, picture) for picture in pictures]
    image: Any = Image.open(path)
    frames = []
    for index in range(image.n_frames):
        image.seek(index)
        image.load()
        frames.append((image.info["duration"] / 1000, np.asarray(image.convert("RGB"))))
    return frames


def seconds_of(path: Path) -> float:
    return sum(seconds for seconds, _ in frames_of(path))


# --- Films ----------------------------------------------------------------------------------------


def written(film: FilmEncoder, path: Path) -> Path:
    path.write_bytes(film.encode())
    return path


@pytest.mark.parametrize(
    ("kind", "name", "tolerance"),
    [(Mp4Encoder, "a.mp4", 6), (GifEncoder, "a.gif", 8), (WebPEncoder, "a.webp", 6)],
)
def test_pictures_come_out_in_order_with_their_colours(
    kind, name, tolerance, photo_image, painting_image, tmp_path
):
    first = np.asarray(photo_image)  # 96×64 px
    second = np.asarray(painting_image.resize(photo_image.size))
    film = kind()
    film.show(first, 3)
    film.show(second, 5)
    frames = frames_of(written(film, tmp_path / name))
    assert sum(seconds for seconds, _ in frames) == pytest.approx(8 / film.frames_per_second)
    for expected, (_, shown) in ((first, frames[0]), (second, frames[-1])):
        assert shown.shape == expected.shape
        difference = shown.astype(float) - expected
        assert abs(difference.mean(axis=(0, 1))).max() < 2.5  # no cast
        assert abs(difference).mean() < tolerance


def test_an_mp4_plays_everywhere(tmp_path):
    film = Mp4Encoder()
    film.show(flat(200, 65, 49), 2)
    film.show(flat(100, 65, 49), 2)
    path = written(film, tmp_path / "a.mp4")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt, stream.average_rate) == (
            "h264", "yuv420p", Fraction(24),
        )  # fmt: skip
        assert (stream.width, stream.height) == (64, 48)  # even
        assert (context.colorspace, context.color_range) == (1, 1)  # BT.709, and says so
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # the index comes first


def test_odd_sides_lose_a_row_and_a_column_but_no_sharpness(painting_image):
    picture = np.asarray(painting_image.crop((0, 0, 63, 79)))
    film = Mp4Encoder()
    film.show(picture, 1)
    np.testing.assert_array_equal(
        np.asarray(film._fitted(Image.fromarray(picture), *film.size)), picture[:78, :62]
    )


@pytest.mark.parametrize(
    ("kind", "size"), [(Mp4Encoder, (1920, 2)), (WebPEncoder, (1024, 2)), (GifEncoder, (640, 1))]
)
def test_films_have_a_largest_size(kind, size):
    film = kind()
    film.show(flat(0, 2400, 4), 1)
    assert film.size == size


@pytest.mark.parametrize("kind", [Mp4Encoder, GifEncoder, WebPEncoder])
def test_all_pictures_get_the_size_of_the_first(kind, tmp_path):
    film = kind()
    film.show(flat(0), 2)
    film.show(flat(255, 32, 24), 2)
    name = {Mp4Encoder: "a.mp4", GifEncoder: "a.gif", WebPEncoder: "a.webp"}[kind]
    shapes = {shown.shape for _, shown in frames_of(written(film, tmp_path / name))}
    assert shapes == {(HEIGHT, WIDTH, 3)}


def test_a_gif_has_one_palette(tmp_path, photo_image, painting_image):
    film = GifEncoder()
    film.show(np.asarray(photo_image), 2)
    film.show(np.asarray(painting_image.resize(photo_image.size)), 2)
    image: Any = Image.open(written(film, tmp_path / "a.gif"))
    palettes = []
    for index in range(image.n_frames):
        image.seek(index)
        palettes.append(image.palette is None or image.global_palette is not None)
    assert all(palettes)
    assert image.info["loop"] == 0  # for ever


# --- Timelapses -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class FakeResult:
    image: Image.Image


@dataclass
class FakeProgress:
    """A step of a made-up run: the picture gets lighter."""

    step: int
    steps: int
    mode: str = "RGB"
    looked_at: int = 0

    def result(self) -> FakeResult:
        self.looked_at += 1
        image = Image.fromarray(flat(255 * self.step // max(1, self.steps)))
        if self.mode == "RGBA":
            image.putalpha(0)
        return FakeResult(image)


def fake_progress(*arguments: Any, **options: Any) -> Any:
    """A FakeProgress in the place of a Progress."""
    return FakeProgress(*arguments, **options)


def film_a_run(path: Path, steps: int, *, upto: int | None = None) -> list[FakeProgress]:
    events: list[Any] = [FakeProgress(step, steps) for step in range((upto or steps) + 1)]
    with Timelapse(path) as film:
        for event in events:
            film.add(event)
    return events


@pytest.mark.parametrize("steps", [1, 7, 80, 1000])
@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.webp"])
def test_it_lasts_ten_seconds_whatever_the_number_of_steps(name, steps, tmp_path):
    film_a_run(tmp_path / name, steps)
    frames = frames_of(tmp_path / name)
    assert sum(seconds for seconds, _ in frames) == pytest.approx(10)
    assert len(frames) == 240 if name == "a.mp4" else len(frames) <= 101
    assert frames[0][1].mean() < 3
    assert frames[-1][1].mean() > 252


def test_the_last_picture_rests_for_two_seconds(tmp_path):
    film_a_run(tmp_path / "a.mp4", 4)
    light = [shown.mean() > 252 for _, shown in frames_of(tmp_path / "a.mp4")]
    assert light == [False] * 192 + [True] * 48
    film_a_run(tmp_path / "a.gif", 4)
    assert frames_of(tmp_path / "a.gif")[-1][0] == 2


def test_the_first_steps_get_more_time_than_the_last(tmp_path):
    film_a_run(tmp_path / "a.mp4", 100)
    half = [shown.mean() for _, shown in frames_of(tmp_path / "a.mp4")][96]
    share = (math.sqrt(1 + 100 / 20) - 1) * 20 / 100  # half of log(1 + 100 / 20) in steps
    assert half == pytest.approx(255 * share, abs=4)


def test_only_pictures_that_are_shown_are_made(tmp_path):
    events = film_a_run(tmp_path / "a.mp4", 1000)
    assert sum(event.looked_at for event in events) <= 193
    assert events[-1].looked_at == 1


def test_a_run_that_stops_early_leaves_a_shorter_film_that_ends_with_its_last_picture(tmp_path):
    film_a_run(tmp_path / "a.mp4", 100, upto=20)
    expected = 8 * math.log(2) / math.log(6) + 2
    assert seconds_of(tmp_path / "a.mp4") == pytest.approx(expected, abs=0.1)
    assert frames_of(tmp_path / "a.mp4")[-1][1].mean() == pytest.approx(51, abs=3)


def test_a_run_that_converges_sooner_than_planned_has_no_jump(tmp_path):
    with Timelapse(tmp_path / "a.mp4") as film:
        for step in range(50):
            film.add(fake_progress(step, 1000))
        film.add(fake_progress(50, 50))
    expected = 8 * math.log(1 + 49 / 20) / math.log(1 + 1000 / 20) + 2
    assert seconds_of(tmp_path / "a.mp4") == pytest.approx(expected, abs=0.2)


def test_a_resumed_run_is_shown_from_where_it_goes_on(tmp_path):
    with Timelapse(tmp_path / "a.gif") as film:
        for step in range(500, 601):
            film.add(fake_progress(step, 600))
    assert seconds_of(tmp_path / "a.gif") == pytest.approx(10)


def test_transparency_becomes_white(tmp_path):
    with Timelapse(tmp_path / "a.webp") as film:
        film.add(fake_progress(0, 1, mode="RGBA"))
    assert frames_of(tmp_path / "a.webp")[0][1].mean() > 252


def test_an_error_in_the_block_leaves_the_film_so_far(tmp_path):
    def fail_after_two_steps():
        with Timelapse(tmp_path / "a.mp4") as film:
            film.add(fake_progress(0, 10))
            film.add(fake_progress(1, 10))
            raise KeyError

    with pytest.raises(KeyError):
        fail_after_two_steps()
    assert seconds_of(tmp_path / "a.mp4") > 2


def test_without_a_picture_there_is_no_film(tmp_path):
    with Timelapse(tmp_path / "a.mp4"):
        pass
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "there.gif").write_text("precious")
    for name, words in {
        "there.gif": "exists already",
        "a.avi": "no film format '.avi'; choose one of: .mp4, .gif, .webp",
        "a": "no extension",
        "missing/a.mp4": "no folder",
    }.items():
        with pytest.raises(OutputError, match=words):
            Timelapse(tmp_path / name)
    with Timelapse(tmp_path / "there.gif", force=True) as film:
        film.add(fake_progress(0, 1))
    assert seconds_of(tmp_path / "there.gif") == 2


def test_a_name_taken_meanwhile_is_not_overwritten(tmp_path):
    with Timelapse(tmp_path / "a.gif") as film:
        film.add(fake_progress(0, 1))
        (tmp_path / "a.gif").write_text("precious")
    assert (tmp_path / "a.gif").read_text() == "precious"
    assert film.path == tmp_path / "a-2.gif"
    assert seconds_of(film.path) == 2


def test_nothing_stays_in_the_temporary_folder(tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    film_a_run(tmp_path / "a.mp4", 3)
    assert not list(temporary.iterdir())


def test_a_film_that_breaks_off_says_so_once(tmp_path, monkeypatch):
    film = Timelapse(tmp_path / "a.mp4")
    film.add(fake_progress(0, 1))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(OutputError, match=r"a\.mp4 can't be written"):
        film.add(fake_progress(1, 1))
    assert film.close() is None
