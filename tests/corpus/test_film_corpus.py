"""Films of every kind, each with what becomes of it.

To add a kind: a line in ``FILMS``, with a function of ``film_files`` that makes the file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import film_files as files
import numpy as np
import pytest
from film_files import (
    Maker,
    animation,
    containing,
    cut,
    film,
    folder,
    mirrored,
    replaced,
    with_sound,
)
from PIL import Image, features

from impasto.base.errors import ImageError
from impasto.video.frames import Cut
from impasto.video.read.opening import open_source
from impasto.video.write.assembling import stream_notes

pytestmark = pytest.mark.video

COUNT = 6
LOSSY, LOSSLESS, PALETTE = 8.0, 0.6, 25.0
"""How far a frame may be from the original on average, levels of 255."""
USUAL = [0.04] * COUNT


@dataclass(frozen=True)
class Read:
    """The frames are the originals, turned ``turned`` quarters to the left and ``mirrored``.

    ``seconds`` are the durations of the frames; ``note`` is part of what is said of the sound.
    """

    within: float = LOSSY
    seconds: list[float] | None = None
    size: tuple[int, int] = (160, 96)
    turned: int = 0
    mirrored: bool = False
    frames: int = COUNT
    note: str = ""


@dataclass(frozen=True)
class Refused:
    """The film is refused, with a sentence that contains these words."""

    words: str


PAUSE = [100, 100, 100, 5000]
PAUSE_S = [0.1, 0.1, 0.1, 5.0]
STAYS = Read(PALETTE, PAUSE_S, frames=4)
TEXT = Refused("isn't a film but text")
ANEW = Read(note="is encoded anew for a .mp4 file")


FOLDERS: dict[str, dict[str, Any]] = {
    "jpg": {"quality": 95}, "webp": {"lossless": True}, "tif": {}, "bmp": {}, "gif": {},
    "jp2": {}, "ppm": {}, "avif": {"quality": 90},
}  # fmt: skip
"""Types of images, with the options that Pillow saves them with."""


def numbered_as(pattern: str) -> Callable[[int], str]:
    return pattern.format


def numbered(index: int) -> str:
    return f"f{index:04d}.png"


FILMS: dict[str, tuple[Maker, Read | Refused]] = {
    # name: how to make the file, what becomes of it
    "film.mp4": (film(), Read(seconds=USUAL)),
    "film.mov": (film(), Read(seconds=USUAL)),
    "film.mkv": (film(**files.LOSSLESS), Read(LOSSLESS, USUAL)),
    "film.webm": (film(codec="libvpx-vp9"), Read(seconds=USUAL)),
    "film.avi": (film(codec="mpeg4"), Read(14.0)),
    "film.ts": (film(), Read(seconds=USUAL)),
    "film.flv": (film(), Read()),
    "no name of a type": (files.named("f.mp4", film()), Read()),
    # Held in another way
    "rotated.mp4": (film(rotation=90), Read(size=(96, 160), turned=1)),
    "upside-down.mp4": (film(rotation=180), Read(turned=2)),
    "mirrored.mp4": (mirrored(0, True, False), Read(mirrored=True)),
    "flipped.mp4": (mirrored(0, False, True), Read(mirrored=True, turned=2)),
    "rotated-mirrored.mp4": (
        mirrored(90, True, False), Read(size=(96, 160), mirrored=True, turned=3),
    ),
    # Times
    "variable.mkv": (
        film(times=[0, 40, 200, 240, 280, 900]), Read(seconds=[0.04, 0.16, 0.04, 0.04, 0.62, 0.04]),
    ),
    "browser.webm": (files.browser_webm, Read(14.0)),
    "stays.gif": (animation("GIF", PAUSE), STAYS),
    "stays.png": (animation("PNG", PAUSE), Read(LOSSLESS, PAUSE_S, frames=4)),
    "stays.webp": (animation("WEBP", PAUSE, lossless=True), Read(LOSSLESS, PAUSE_S, frames=4)),
    "begins-long.gif": (
        animation("GIF", PAUSE[::-1]), Read(PALETTE, PAUSE_S[::-1], frames=4),
    ),
    "hurried.gif": (animation("GIF", [10, 10, 10]), Read(PALETTE, [0.1] * 3, frames=3)),
    "moving.avif": (animation("AVIF", [100] * 4, quality=90), Read(LOSSY, frames=4)),
    # Several streams
    "two.mp4": (files.two_streams, Read()),
    "two.mkv": (files.two_streams, Read()),
    "song.m4a": (files.song, Refused("its only picture is a cover")),
    # Sound
    "aac.mp4": (with_sound("aac"), Read()),
    **{
        f"{codec}.mov": (with_sound(codec), ANEW)
        for codec in ("pcm_s16le", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le")
    },
    "unknown-sound.mkv": (
        replaced(with_sound("aac", "matroska"), b"A_AAC", b"A_XYZ"), Read(note="is left out"),
    ),
    # What can't be decoded, or shouldn't
    "unknown.mkv": (
        replaced(film(), b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XVC"), Refused("of an unknown codec"),
    ),
    "huge.mov": (files.huge, Refused("the limit for a film is 100 megapixels")),
    "hidden.mov": (files.hidden_size, Refused("can be decoded|limit")),
    "half.mp4": (cut(film(), 0.5), Refused("isn't a film, or is damaged")),
    "half.mkv": (cut(film(**files.LOSSLESS), 0.6), Read(LOSSLESS, frames=3)),
    "empty.mp4": (containing(b""), Refused("isn't a film, or is damaged")),
    "words.mp4": (containing(b"no film at all\n"), TEXT),
    "list.m3u8": (containing(b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n"), TEXT),
    "list.ffconcat": (containing(b"ffconcat version 1.0\nfile list.ffconcat\n"), TEXT),
    "list.mpd": (containing(b"<?xml version='1.0'?><MPD></MPD>"), TEXT),
    "notes.txt": (containing("schöne Grüße\n".encode()), TEXT),
    "noise.mp4": (containing(bytes(range(256)) * 40), Refused("isn't a film, or is damaged")),
    # Folders of images
    "folder": (folder(numbered), Read(LOSSLESS, USUAL)),
    "folder of a Mac": (
        folder(numbered, "._f0000.png", ".DS_Store", "Thumbs.db"), Read(LOSSLESS),
    ),
    "folder with a hidden image": (folder(numbered, ".trash.png"), Read(LOSSLESS)),
    **{
        f"folder of {kind}": (folder(numbered_as("f{}." + kind), **options), Read(PALETTE))
        for kind, options in FOLDERS.items()
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def originals(frames) -> list[np.ndarray]:
    """A few frames (96, 160, 3) with a red corner, top right, which tells how they are turned."""
    marked = [frame.copy() for frame in frames[:COUNT]]
    for frame in marked:
        frame[:24, -24:] = (255, 0, 0)
    return marked


@pytest.mark.parametrize("name", FILMS)
def test_film(name, originals, tmp_path):
    make, expected = FILMS[name]
    if "avif" in name and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    make(tmp_path / name, originals)
    if isinstance(expected, Refused):
        with pytest.raises(ImageError, match=expected.words):
            open_source(str(tmp_path / name), None)
        return
    source = open_source(str(tmp_path / name), None)
    seen = list(source.frames())
    check_frames(seen, expected, originals)
    assert (source.clip.width, source.clip.height) == expected.size
    assert source.clip.rate < 240
    assert expected.note in "; ".join(stream_notes(Path("o.mp4"), source.clip))
    if expected.seconds is not None:
        base = source.clip.time_base
        seconds = [float((frame.ends - frame.pts) * base) for frame in seen]
        starts = [float((frame.pts - seen[0].pts) * base) for frame in seen]
        assert seconds[-1] == pytest.approx(expected.seconds[-1], abs=0.005)
        assert starts == pytest.approx(np.cumsum([0, *expected.seconds[:-1]]), abs=0.005)


def check_frames(seen, expected: Read, originals: list[np.ndarray]) -> None:
    assert len(seen) == expected.frames
    for frame, original in zip(seen, originals, strict=False):
        shown = original[:, ::-1] if expected.mirrored else original
        shown = np.rot90(shown, expected.turned)
        assert frame.pixels.shape[:2] == shown.shape[:2]
        difference = np.abs(frame.pixels[..., :3].astype(int) - shown.astype(int))
        assert difference.mean() <= expected.within


def test_a_cut_begins_with_what_is_shown_then(originals, tmp_path):
    animation("GIF", [5000, 100, 100])(tmp_path / "a.gif", originals)
    film(times=[0, 5000, 5100], **files.LOSSLESS)(tmp_path / "a.mkv", originals[:3])
    for name in ("a.gif", "a.mkv"):
        source = open_source(str(tmp_path / name), None)
        base = float(source.clip.time_base)
        whole = list(source.frames())
        for cut_to, count in ((Cut(2), 3), (Cut(2, 4), 1)):
            seen = list(source.frames(cut_to))
            assert len(seen) == count
            assert seen[0].pts * base == pytest.approx(2)
            assert seen[0].ends * base == pytest.approx(5)
            assert (seen[0].pixels == whole[0].pixels).all()


@pytest.mark.parametrize("disposal", [0, 1, 2])
def test_a_part_of_an_animation_is_as_in_the_whole(disposal, tmp_path):
    """Its frames are drawn over those before them."""
    pictures = []
    for index in range(6):
        sprite = Image.new("RGBA", (96, 64), (0, 0, 0, 0))
        sprite.paste((255, index * 30, 0, 128), (index * 8, 10, index * 8 + 30, 40))
        pictures.append(sprite)
    pictures[0].save(
        tmp_path / "a.png", save_all=True, append_images=pictures[1:], disposal=disposal, blend=1
    )
    source = open_source(str(tmp_path / "a.png"), None)
    whole, rest = list(source.frames()), list(source.frames(resume=300))
    assert len(rest) == 3
    for one, other in zip(whole[3:], rest, strict=True):
        assert (one.pixels == other.pixels).all()


def test_an_animation_is_turned_and_keeps_its_transparency(originals, tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6
    rows = [np.dstack([frame, np.full(frame.shape[:2], 128, np.uint8)]) for frame in originals]
    first, *rest = map(Image.fromarray, rows)
    first.save(tmp_path / "a.webp", lossless=True, save_all=True, append_images=rest, exif=exif)
    first.save(tmp_path / "a.avif", quality=90, save_all=True, append_images=rest)
    for name, shown in (("a.webp", np.rot90(originals[0], -1)), ("a.avif", originals[0])):
        frame = next(open_source(str(tmp_path / name), None).frames())
        assert frame.pixels.shape[:2] == shown.shape[:2]
        assert np.abs(frame.pixels[..., 3].astype(int) - 128).max() < 6
        assert np.abs(frame.pixels[..., :3] - shown.astype(int)).mean() < LOSSY


def test_interlaced_frames_have_no_combs(originals, tmp_path):
    files.interlaced(tmp_path / "film.mp4", originals)
    source = open_source(str(tmp_path / "film.mp4"), None)
    seen = [frame.pixels[..., 1].astype(int) for frame in source.frames()]
    assert source.is_interlaced
    assert len(seen) == 12
    last = list(source.frames())[-1]
    assert float((last.ends - last.pts) * source.clip.time_base) == pytest.approx(0.04)
    for picture in seen[2:-2]:
        assert np.abs(np.diff(picture, axis=0)).mean() < 4  # it was 16


def test_a_resumed_interlaced_film_is_the_same(originals, tmp_path):
    files.interlaced(tmp_path / "film.mp4", originals)
    source = open_source(str(tmp_path / "film.mp4"), None)
    whole = list(source.frames())
    rest = list(source.frames(resume=whole[5].pts))
    assert [frame.pts for frame in rest] == [frame.pts for frame in whole[5:]]
    for one, other in zip(rest, whole[5:], strict=True):
        assert (one.pixels == other.pixels).all()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_pipes_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    with pytest.raises(ImageError, match="is a pipe or a device"):
        open_source(str(tmp_path / "pipe"), None)
    with pytest.raises(ImageError, match="can't come from standard input"):
        open_source("-", None)


def test_there_are_enough_kinds():
    assert len(FILMS) >= 30
