"""Films in, films out: real files, written and read by PyAV."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import clips
import numpy as np
import pytest
import torch
from conftest import PAINTING
from PIL import Image

from impasto.base.errors import CheckpointError, OutputError
from impasto.video import stages
from impasto.video.film import Film
from impasto.video.frames import Cut
from impasto.video.painting import Key, frame_painter
from impasto.video.read.opening import open_source
from impasto.video.read.pixels import BICUBIC, EXACT
from impasto.video.write.codecs import codec_for
from impasto.video.write.work_file import FilmWriter

STYLE = "violet-spots"
OTHER = "honey-wash"


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def sound(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio[0])
        return [(float(p.pts * p.time_base), bytes(p)) for p in packets if p.size]


class NotedFilm(Film):
    """A film that keeps all sentences about what its output lacks, those of its end among them."""

    all_notes: list[str]

    def finish(self) -> list[str]:
        notes = super().finish()
        self.all_notes = [*self.notes, *notes]
        return notes


def made(source: Path, output: Path, style: str | Path = STYLE, **settings: Any) -> NotedFilm:
    """Return a film that has been stylized to its end."""
    film = NotedFilm(source, style, output, **settings)
    for _ in film:
        pass
    film.finish()
    return film


def test_every_frame_and_all_of_the_sound(clip, tmp_path):
    output = tmp_path / "out.mp4"
    film = made(clip, output)
    assert (film.done, film.complete, film.all_notes) == (24, True, [])
    assert times(output) == times(clip)
    assert sound(output) == sound(clip)
    with av.open(str(output)) as container:
        assert container.metadata["title"] == "a clip"
        assert container.duration == pytest.approx(960_000, abs=20_000)
    for painted, original in zip(pictures(output), pictures(clip), strict=True):
        assert np.abs(painted.astype(int) - original).mean() > 20
    assert not list(tmp_path.glob("*.part*"))


def test_frame_by_frame_is_the_method_instant(frames, tmp_path):
    """Without stability, a frame is what the same picture would be by itself."""
    from impasto import Stylizer

    source = clips.write(tmp_path / "s.mkv", frames[:3], codec="ffv1", pix_fmt="bgr0", options={})
    made(source, tmp_path / "out.mkv", codec="ffv1", stability=0)
    alone = Stylizer(STYLE, size=0)
    for painted, original in zip(pictures(tmp_path / "out.mkv"), frames[:3], strict=True):
        assert np.abs(painted.astype(int) - alone(original)).max() <= 1


@pytest.mark.parametrize(
    ("suffix", "settings", "codec"),
    [
        (".mkv", {}, "h264"),
        (".mov", {"codec": "prores"}, "prores"),
        (".webm", {}, "vp9"),
        (".mp4", {"codec": "hevc"}, "hevc"),
        (".mp4", {"codec": "av1"}, "libdav1d"),
        (".gif", {}, "gif"),
    ],
)
def test_what_a_film_can_be(suffix, settings, codec, clip, tmp_path):
    output = tmp_path / f"out{suffix}"
    film = made(clip, output, cut=Cut(end=0.4), **settings)
    with av.open(str(output)) as container:
        assert container.streams.video[0].codec_context.name == codec
        assert container.streams.video[0].average_rate == 25
        if codec == "hevc":
            assert container.streams.video[0].codec_context.codec_tag == "hvc1"  # for Apple
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(frames) == 10
        heard = bool(container.streams.audio)
    assert heard == (suffix != ".gif")
    assert ("encoded anew" in str(film.all_notes)) == (suffix == ".webm")
    reference = tmp_path / "reference.mp4"
    made(clip, reference, cut=Cut(end=0.4))
    apart = np.abs(frames[5].astype(float) - pictures(reference)[5]).mean()
    assert apart < 8  # the same colours, however they are coded


def test_sequences_in_and_out(frames, tmp_path):
    made(clips.write(tmp_path / "c.mp4", frames), tmp_path / "out" / "f-%03d.png")
    written = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in written] == [f"f-{n:03d}.png" for n in range(1, 25)]
    (tmp_path / "out" / "notes.txt").write_text("no image")
    for source in (tmp_path / "out", tmp_path / "out" / "f-%03d.png"):
        film = made(source, tmp_path / f"{source.stem[:3]}.mp4", rate=Fraction(10))
        assert film.done == 24
        assert times(film.output)[:3] == [0, 0.1, 0.2]
    first = (tmp_path / "out" / "f-001.png").read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        Film(tmp_path / "c.mp4", OTHER, tmp_path / "out" / "f-%03d.png")
    assert (tmp_path / "out" / "f-001.png").read_bytes() == first
    (tmp_path / "folder").mkdir()
    made(tmp_path / "out", tmp_path / "folder")
    assert len(list((tmp_path / "folder").glob("*.png"))) == 24
    made(tmp_path / "out", tmp_path / "folder", cut=Cut(end=0.2), force=True)
    assert len(list((tmp_path / "folder").glob("*.png"))) == 5  # none of the old ones among them


def test_times_stay_as_they_vary(frames, tmp_path):
    when = [40 * index + (13 if index % 3 else 0) for index in range(24)]
    source = clips.write(tmp_path / "vfr.mp4", frames, times=when, sound=True)
    made(source, tmp_path / "out.mp4")
    assert times(tmp_path / "out.mp4") == pytest.approx([t / 1000 for t in when], abs=1e-4)


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_films_held_upright(degrees, frames, tmp_path):
    source = clips.write(tmp_path / "r.mp4", frames[:4], rotation=degrees)
    seen = next(open_source(str(source), None).frames()).pixels
    upright = np.rot90(frames[0], degrees // 90)
    assert seen.shape == upright.shape
    assert np.abs(seen.astype(int) - upright).mean() < 6
    made(source, tmp_path / "out.mp4")
    assert pictures(tmp_path / "out.mp4")[0].shape == upright.shape


def test_the_shape_of_pixels_and_the_colours_stay(frames, tmp_path):
    tags: dict[str, Any] = {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 2}
    source = clips.write(
        tmp_path / "c.mp4", frames, pix_fmt="yuvj420p", sample_aspect_ratio=Fraction(4, 3), **tags
    )
    made(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.sample_aspect_ratio == Fraction(4, 3)
        assert {name: int(getattr(stream.codec_context, name)) for name in tags} == tags


def test_colours_are_read_as_they_are_tagged(frames, tmp_path):
    """BT.601 or BT.709, limited or full: the same picture."""
    for matrix, swscale, color_range, pix_fmt in (
        (6, 5, 1, "yuv420p"), (1, 1, 1, "yuv420p"), (1, 1, 2, "yuvj444p"),
    ):  # fmt: skip
        path = tmp_path / f"{matrix}{color_range}.mkv"
        with av.open(str(path), "w") as output:
            stream = output.add_stream("libx264", rate=25, options={"qp": "1"})
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = pix_fmt
            stream.codec_context.colorspace = matrix
            stream.codec_context.color_range = color_range
            frame = av.VideoFrame.from_ndarray(frames[0], format="rgb24").reformat(
                format=pix_fmt,
                interpolation=EXACT | BICUBIC,
                dst_colorspace=swscale,
                src_color_range=2,
                dst_color_range=color_range,
            )
            output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        seen = next(open_source(str(path), None).frames()).pixels
        apart = seen.astype(int) - frames[0]
        assert np.abs(apart).mean() < 2
        assert np.abs(apart.mean(axis=(0, 1))).max() < (0.3 if color_range == 1 else 1)


def test_high_dynamic_range_is_toned_down(frames, tmp_path):
    source = clips.write(
        tmp_path / "hdr.mkv", frames[:4], codec="libx265", pix_fmt="yuv420p10le",
        options={"x265-params": "log-level=none"}, colorspace=9, color_primaries=9, color_trc=16,
    )  # fmt: skip
    film = made(source, tmp_path / "out.mp4")
    assert "standard range" in str(film.notes)
    grey = clips.write(
        tmp_path / "grey.mkv", [np.full_like(frames[0], 130)], codec="libx265",
        pix_fmt="yuv420p10le", options={"x265-params": "log-level=none"},
        colorspace=9, color_primaries=9, color_trc=16,
    )  # fmt: skip
    (seen,) = open_source(str(grey), None).frames()
    assert np.abs(seen.pixels.astype(int) - 184).max() < 6  # PQ's 130/255 are 102 nits
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert int(container.streams.video[0].codec_context.color_trc) == 1


def test_known_light_of_hdr():
    from impasto.images.hdr import PQ, to_sdr

    nits = {0.0: 0, 0.5081: 100, 0.5807: 203, 1.0: 10000}  # SMPTE ST 2084's table
    codes = np.array([[[round(code * 65535)] * 3 for code in nits]], np.uint16)
    grey = to_sdr(codes, PQ, 9)[0, :, 0]
    assert grey[0] == 0
    assert list(grey) == sorted(grey)
    assert abs(int(grey[1]) - 183) < 4  # 100/203 of white, below the knee: as it is
    assert grey[3] == 255


def test_transparency(frames, tmp_path):
    mask = np.zeros(frames[0].shape[:2], np.uint8)
    mask[:, 80:] = 255
    source = clips.write(
        tmp_path / "a.mov", [np.dstack([frame, mask]) for frame in frames[:5]],
        codec="prores_ks", pix_fmt="yuva444p10le", options={"profile": "4444"},
    )  # fmt: skip
    made(source, tmp_path / "out.mov", codec="prores")
    with av.open(str(tmp_path / "out.mov")) as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="rgba")
    assert pixels[:, :70, 3].max() < 10
    assert pixels[:, 90:, 3].min() > 245
    film = made(source, tmp_path / "out.mp4")
    assert "it becomes black" in str(film.notes)
    assert pictures(tmp_path / "out.mp4")[0][:, :70].max() < 30


def test_transparency_of_the_web(frames, tmp_path):
    """Browsers see it only in files that say that they have it."""
    clear = [np.dstack([frame, np.full(frame.shape[:2], 40 * i, np.uint8)])
             for i, frame in enumerate(frames[:5])]  # fmt: skip
    source = clips.write(
        tmp_path / "a.webm", clear, codec="libvpx-vp9", pix_fmt="yuva420p",
        options={"crf": "20", "b": "0"},
    )  # fmt: skip
    assert open_source(str(source), None).clip.has_alpha
    made(source, tmp_path / "out.webm")
    with av.open(str(tmp_path / "out.webm")) as container:
        assert container.streams.video[0].metadata["ALPHA_MODE"] == "1"
    assert b"\x53\xc0\x81\x01" in (tmp_path / "out.webm").read_bytes()  # Matroska's AlphaMode
    seen = [frame.pixels for frame in open_source(str(tmp_path / "out.webm"), None).frames()]
    assert [round(pixels[..., 3].mean() / 40) for pixels in seen] == [0, 1, 2, 3, 4]


def test_transparency_of_a_gif(frames, tmp_path):
    mask = np.zeros(frames[0].shape[:2], np.uint8)
    mask[:, 80:] = 255
    source = tmp_path / "source.gif"
    images = [Image.fromarray(np.dstack([frame, np.roll(mask, 9 * i)]))
              for i, frame in enumerate(frames[:4])]  # fmt: skip
    images[0].save(source, save_all=True, append_images=images[1:], duration=80, disposal=2)
    made(source, tmp_path / "out.gif")
    for before, after in zip(
        *(open_source(str(path), None).frames() for path in (source, tmp_path / "out.gif")),
        strict=True,
    ):
        assert 0.3 < after.pixels[..., 3].mean() / 255 < 0.7
        assert (after.pixels[..., 3] == before.pixels[..., 3]).all()


def test_transparency_in_high_dynamic_range(frames, tmp_path):
    mask = np.zeros(frames[0].shape[:2], np.uint8)
    mask[:, 80:] = 255
    source = clips.write(
        tmp_path / "a.mkv", [np.dstack([frame, mask]) for frame in frames[:3]],
        codec="ffv1", pix_fmt="yuva444p10le", options={},
        colorspace=9, color_primaries=9, color_trc=16,
    )  # fmt: skip
    assert open_source(str(source), None).clip.is_hdr
    made(source, tmp_path / "out.mov", codec="prores")
    with av.open(str(tmp_path / "out.mov")) as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="rgba")
    assert pixels[:, :70, 3].max() < 10
    assert pixels[:, 90:, 3].min() > 245


def test_a_cover_stays_a_cover(frames, tmp_path):
    plain = clips.write(tmp_path / "p.mp4", frames[:6], sound=True)
    source = tmp_path / "c.mp4"
    with av.open(str(plain)) as video, av.open(str(source), "w") as out:
        cover = out.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        copies = {s.index: out.add_stream_from_template(s) for s in video.streams}
        picture = av.VideoFrame.from_ndarray(clips.photo(64, 48), format="rgb24")
        packets = [*cover.encode(picture), *cover.encode(None)]
        for packet in packets:
            packet.pts = packet.dts = 0
            out.mux(packet)
        for packet in video.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    film = made(source, tmp_path / "out.mp4", cut=Cut(start=0.08))
    assert (film.done, film.all_notes) == (4, [])
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [s.codec_context.name for s in container.streams.video] == ["h264", "mjpeg"]
        (copy,) = (packet for packet in container.demux(video=1) if packet.size)
        assert bytes(copy) == bytes(packets[0])
    assert "cover (mjpeg) can't be in a .webm file" in str(
        made(source, tmp_path / "o.webm").all_notes
    )


def test_odd_sides(frames, tmp_path):
    odd = [frame[:95, :159] for frame in frames[:3]]
    source = clips.write(tmp_path / "o.mkv", odd, codec="ffv1", pix_fmt="bgr0", options={})
    film = made(source, tmp_path / "out.mp4")
    assert "159×95 px become 158×94" in str(film.notes)
    assert pictures(tmp_path / "out.mp4")[0].shape == (94, 158, 3)


def test_fonts_stay_where_they_can(frames, tmp_path):
    plain, source = clips.write(tmp_path / "p.mkv", frames[:4]), tmp_path / "f.mkv"
    with av.open(str(plain)) as film, av.open(str(source), "w") as out:
        copy = out.add_stream_from_template(film.streams.video[0])
        out.add_attachment("font.ttf", "font/ttf", b"not really a font")
        for packet in film.demux():
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    assert made(source, tmp_path / "out.mkv").all_notes == []
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert [stream.type for stream in container.streams] == ["video", "attachment"]
    assert "attachment stream can't be in a .mp4 file" in str(
        made(source, tmp_path / "o.mp4").all_notes
    )


@pytest.mark.parametrize("suffix", [".ts", ".avi", ".mkv"])
def test_no_frame_is_lost_by_seeking(suffix, frames, tmp_path, monkeypatch):
    """Some kinds of files are sought in only roughly."""
    monkeypatch.setattr(stages, "SEGMENT_FRAMES", 50)
    options = {"crf": "20", "g": "40", "bf": "3"}
    source = clips.write(tmp_path / f"long{suffix}", frames * 5, options=options)
    for count, cut in ((10, Cut(start=2.52, end=2.92)), (120, Cut())):
        film = made(source, tmp_path / "out.mp4", force=True, cut=cut)
        assert (film.done, len(pictures(film.output))) == (count, count)
    whole = pictures(tmp_path / "out.mp4")
    stopped = Film(source, STYLE, tmp_path / "two.mp4")
    for progress in stopped:
        if progress.frame == 70:
            break
    stopped.finish()
    made(source, tmp_path / "two.mp4", resume=True)
    assert all((a == b).all() for a, b in zip(pictures(tmp_path / "two.mp4"), whole, strict=True))


def test_any_name(impasto, clip, tmp_path):
    """FFmpeg takes what stands before a colon for a protocol, and %d is no sequence of films."""
    clip.rename(tmp_path / "take:1.mp4")
    for output in ("out:2.mp4", "50%d.mp4"):
        ended = impasto("video", "take:1.mp4", STYLE, "-o", output, "--end", "0.1")
        assert ended.code == 0, ended.err
        assert len(pictures(tmp_path / output)) == 3
    assert (
        "no film format '.jpg'"
        in impasto("video", "take:1.mp4", STYLE, "-o", "f-%03d.jpg").sentence()
    )


def test_subtitles_and_chapters_stay(frames, tmp_path):
    srt = tmp_path / "s.srt"
    srt.write_text("1\n00:00:00,100 --> 00:00:00,700\nHello\n")
    plain = clips.write(tmp_path / "p.mkv", frames, sound=True)
    source = tmp_path / "s.mkv"
    with av.open(str(plain)) as video, av.open(str(srt)) as words, av.open(str(source), "w") as out:
        copies = {s.index: out.add_stream_from_template(s) for s in video.streams}
        text = out.add_stream_from_template(words.streams.subtitles[0])
        text.metadata["language"] = "eng"
        out.set_chapters(
            [
                {
                    "id": 1,
                    "start": 0,
                    "end": 500,
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": "One"},
                }
            ]
        )
        for packet in words.demux():
            if packet.size:
                packet.stream = text
                out.mux(packet)
        for packet in video.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    made(source, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as container:
        (subtitles,) = container.streams.subtitles
        assert subtitles.language == "eng"
        assert [bytes(p) for p in container.demux(subtitles) if p.size] == [b"Hello"]
        assert container.chapters()[0]["metadata"]["title"] == "One"
    film = made(source, tmp_path / "out.mp4")
    assert "the subtitles (srt) can't be in a .mp4 file" in str(film.all_notes)
    made(source, tmp_path / "late.mkv", cut=Cut(start=0.4))  # in the midst of it
    with av.open(str(tmp_path / "late.mkv")) as container:
        (word,) = (p for p in container.demux(container.streams.subtitles[0]) if p.size)
        assert (bytes(word), word.pts, word.duration) == (b"Hello", 0, 300)


def test_a_part_of_it(clip, tmp_path):
    film = made(clip, tmp_path / "out.mp4", cut=Cut(start=0.2, end=0.6, every=2, size=96))
    assert film.frames == film.done == 5
    assert times(tmp_path / "out.mp4") == pytest.approx([0, 0.08, 0.16, 0.24, 0.32])
    assert pictures(tmp_path / "out.mp4")[0].shape == (58, 96, 3)
    heard = sound(tmp_path / "out.mp4")
    assert 0 <= heard[0][0] < 0.03
    assert 0.36 < heard[-1][0] < 0.4
    whole = {data: at for at, data in sound(clip)}
    assert whole[heard[0][1]] == pytest.approx(0.2, abs=0.03)


def test_styles_change_over_time(clip, tmp_path):
    cut = Cut(end=0.9)
    for name, at in (("first", []), ("both", [(0.4, OTHER)]), ("second", None)):
        style = STYLE if at is not None else OTHER
        settings = {"styles_at": at or [], "cut": cut, "stability": 0, "codec": "ffv1"}
        made(clip, tmp_path / f"{name}.mkv", style, **settings)
    first, both, second = (pictures(tmp_path / f"{n}.mkv") for n in ("first", "both", "second"))
    assert (both[0] == first[0]).all()
    assert (both[20] == second[20]).all()
    halfway = np.abs(both[5].astype(int) - first[5]).mean()
    assert 3 < halfway < np.abs(second[5].astype(int) - first[5]).mean()


def test_masks(clip, frames, tmp_path):
    left = np.zeros((96, 160), np.uint8)
    left[:, :80] = 255
    Image.fromarray(left).save(tmp_path / "left.png")
    moving = [np.dstack([np.roll(left, 8 * index, 1)] * 3) for index in range(24)]
    film = clips.write(tmp_path / "mask.mkv", moving, codec="ffv1", pix_fmt="bgr0", options={})
    plain = [frame.pixels for frame in open_source(str(clip), None).frames()]
    for mask, inside, outside in (
        (tmp_path / "left.png", np.s_[:, 10:70], np.s_[:, 90:150]),
        (film, np.s_[:, 90:150], np.s_[:, 10:70]),
    ):
        made(clip, tmp_path / "out.mkv", mask=mask, codec="ffv1", force=True)
        seen = pictures(tmp_path / "out.mkv")[10]
        assert np.abs(seen[outside].astype(int) - plain[10][outside]).max() <= 2
        assert np.abs(seen[inside].astype(int) - plain[10][inside]).mean() > 15


def test_a_stopped_film_of_varying_rate_has_as_much_sound_as_pictures(frames, tmp_path):
    when = [20 * index for index in range(12)] + [2000 + 20 * index for index in range(12)]
    source = clips.write(tmp_path / "vfr.mp4", frames, times=when, sound=True)
    film = Film(source, STYLE, tmp_path / "out.mp4")
    for progress in film:
        if progress.frame == 12:
            break
    film.finish()
    assert times(tmp_path / "out.mp4")[-1] == pytest.approx(0.22)
    assert 0.2 < sound(tmp_path / "out.mp4")[-1][0] < 0.35


def test_a_work_file_plays_whatever_its_name(frames, tmp_path):
    clip = open_source(str(clips.write(tmp_path / "c.mp4", frames[:4])), None).clip
    writer = FilmWriter(
        tmp_path / "OUT.MP4", codec_for(Path("OUT.MP4"), None, None, has_alpha=False), clip
    )
    for segment in range(6):
        for index, frame in enumerate(frames[:4]):
            writer.write(frame, (4 * segment + index) * clip.step)
        writer.end_segment()
    (tmp_path / "killed.mp4").write_bytes((tmp_path / "OUT.MP4").read_bytes())
    assert len(pictures(tmp_path / "killed.mp4")) > 12
    writer.close()


def test_an_interrupted_film_can_be_played_and_gone_on_with(clip, frames, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "SEGMENT_FRAMES", 5)
    whole, output = tmp_path / "whole.mp4", tmp_path / "out.mp4"
    made(clip, whole)
    for stop_after in (3, 8, 7, None):  # the first, before anything but its beginning is known
        film = Film(clip, STYLE, output, resume=stop_after != 3)
        for count, _ in enumerate(film, start=1):
            if count == stop_after:
                break
        film.finish()
        if stop_after == 8:
            assert len(pictures(output)) == 8
            assert 0.25 < sound(output)[-1][0] < 0.35
            with pytest.raises(Exception, match="--resume goes on with it"):
                Film(clip, STYLE, tmp_path / "out.mp4")
            with pytest.raises(Exception, match="other styles or settings"):
                Film(clip, OTHER, tmp_path / "out.mp4", resume=True)
            monkeypatch.chdir(tmp_path)  # from where it is called doesn't matter
            assert Film("clip.mp4", STYLE, "out.mp4", resume=True).saved["frames"] == 5
    assert film.complete
    assert times(output) == times(whole)
    assert all((a == b).all() for a, b in zip(pictures(output), pictures(whole), strict=True))
    assert sound(output) == sound(whole)
    assert not list(tmp_path.glob("*.part*"))


def test_an_interrupted_film_of_the_method_optimize_is_resumed(
    clip, painting, tmp_path, monkeypatch
):
    monkeypatch.setattr(stages, "SEGMENT_FRAMES", 2)
    cut = Cut(0, 0.16, 1, 64)
    settings: dict[str, Any] = {"preset": "draft", "steps": 10, "cut": cut, "codec": "ffv1"}
    whole, output = tmp_path / "whole.mkv", tmp_path / "out.mkv"
    made(clip, whole, painting, **settings)
    film = Film(clip, painting, output, **settings)
    for progress in film:
        if progress.frame == 3:
            break
    film.finish()
    film = made(clip, output, painting, **settings, resume=True)
    assert (film.done, film.complete) == (4, True)
    assert all((a == b).all() for a, b in zip(pictures(output), pictures(whole), strict=True))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_leaves_what_is_done(number, frames, tmp_path):
    long = clips.write(tmp_path / "long.mp4", frames * 20, sound=True)
    output = tmp_path / "out.mp4"
    command = [sys.executable, "-m", "impasto", "video", str(long), STYLE, "-o", str(output)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    state = tmp_path / "out.part.state"
    while not (state.exists() and torch.load(state)["frames"] == 100):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert b"--resume goes on with it" in said
        assert 100 <= len(pictures(output)) < 480
    else:
        assert not output.exists()
        assert len(pictures(tmp_path / "out.part.mp4")) >= 90  # it plays
    done = subprocess.run([*command, "--resume", "--quiet", "--json"], capture_output=True)
    assert json.loads(done.stdout)["frames"] == 480
    assert len(times(output)) == 480
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.mp4", "out.mp4"]


def test_another_style_of_the_same_name(clip, painting_image, tmp_path, monkeypatch):
    painting_image.resize((64, 64)).save(tmp_path / "s.png")
    film = Film(clip, tmp_path / "s.png", tmp_path / "out.mp4")
    for progress in film:
        if progress.frame == 4:
            break
    film.finish()
    monkeypatch.chdir(tmp_path)
    assert Film(clip, "s.png", "out.mp4", resume=True).saved
    painting_image.resize((64, 48)).save(tmp_path / "s.png")
    with pytest.raises(CheckpointError, match="other styles"):
        Film(clip, tmp_path / "s.png", tmp_path / "out.mp4", resume=True)


def test_the_command(impasto, clip, tmp_path):
    ended = impasto("video", clip, STYLE, "--end", "0:00.2", "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told["output"] == str(tmp_path / "clip_violet-spots.mp4")
    assert (told["frames"], told["width"], told["complete"]) == (5, 160, True)
    again = impasto("video", clip, STYLE, "--end", "0.1")
    assert again.out.strip() == str(tmp_path / "clip_violet-spots-2.mp4")
    assert impasto("video", clip, STYLE, "--preview", 3, "-o", "sheet.png").code == 0
    sheet = Image.open("sheet.png")
    assert sheet.width > 3 * 160
    again = impasto("video", clip, STYLE, "--preview", 2, "-o", "clip.png", "--json")
    assert json.loads(again.out) == {"output": "clip.png"}
    assert not list(tmp_path.glob("*.part*"))


def test_by_preset(impasto, clip, painting, tmp_path):
    cut = ("--end", "0.1", "-o", "out.mp4")
    assert impasto("video", clip, painting, "--preset", "instant", *cut).code == 0
    assert len(pictures(tmp_path / "out.mp4")) == 3


def test_settings_of_the_method_instant_are_flags(impasto, clip):
    cut = ("video", clip, STYLE, "--end", "0.1", "-o", "out.mp4")
    assert impasto(*cut, "--statistics", "thumbnail").code == 0
    refused = impasto(*cut, "--force", "--statistics", "none").sentence()
    assert refused == "statistics should be 'whole' or 'thumbnail', not 'none'"
    refused = impasto(*cut, "--force", "--steps", 12).sentence()
    assert refused == "steps means nothing to the method instant; leave it out"


def test_by_optimisation(impasto, clip, painting, tmp_path):
    ended = impasto(
        "video", clip, painting, "--method", "optimize", "--preset", "draft", "--steps", 12,
        "--end", "0.16", "--size", "96", "-o", "out.mp4",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert len(pictures(tmp_path / "out.mp4")) == 4


@pytest.mark.parametrize("method", ["instant", "optimize"])
def test_frames_keep_their_size_with_a_preset_for_prints(method, tmp_path):
    preset = tmp_path / "card.toml"
    steps = {"optimize": "steps = 1\npolish = 0\n", "instant": ""}[method]
    preset.write_text(f'method = "{method}"\nprint = "10x15cm"\ndpi = 30\n{steps}')
    frame = np.full((48, 64, 3), 128, np.uint8)
    key = Key(0, Image.open(PAINTING).resize((64, 64)))
    painter = frame_painter([key], {"preset": str(preset)}, frame, steady=False)
    assert painter.paint(frame, 0.0, 0, None).shape == frame.shape
