"""Films of unusual kinds, made of a few frames."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import clips
import numpy as np
from av.stream import Disposition
from PIL import Image

Frames = list[np.ndarray]
Maker = Callable[[Path, Frames], None]
"""Writes a film of the frames to a path."""

LOSSLESS = {"codec": "ffv1", "pix_fmt": "bgr0", "options": {}}


def film(**settings: Any) -> Maker:
    """A film as ``clips.write`` makes it."""
    return lambda path, frames: void(clips.write(path, frames, **settings))


def void(_: object) -> None:
    return


def named(name: str, make: Maker) -> Maker:
    """A film that was written under another name."""

    def made(path: Path, frames: Frames) -> None:
        make(path.with_name(name), frames)
        path.with_name(name).rename(path)

    return made


def mirrored(rotation: int, hflip: bool, vflip: bool) -> Maker:
    """A film with a display matrix."""

    def make(path: Path, frames: Frames) -> None:
        with av.open(str(path), "w") as output:
            stream = video_stream(output, frames)
            stream.set_display_rotation(rotation, hflip=hflip, vflip=vflip)
            mux(output, stream, frames)

    return make


def video_stream(output, frames: Frames, codec: str = "libx264", rate=clips.RATE):
    stream = output.add_stream(codec, rate=rate, options={"crf": "10"})
    stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
    return stream


def mux(output, stream, frames: Frames) -> None:
    for pixels in frames:
        output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
    output.mux(stream.encode(None))


def animation(format: str, durations: list[int], **options) -> Maker:
    """An animated image; durations in ms."""

    def make(path: Path, frames: Frames) -> None:
        first, *rest = (Image.fromarray(frame) for frame in frames[: len(durations)])
        first.save(
            path, format, save_all=True, append_images=rest, duration=durations, loop=0, **options
        )

    return make


def two_streams(path: Path, frames: Frames) -> None:
    """A small film first, then the one that is marked as the default."""
    with av.open(str(path), "w") as output:
        small = [np.ascontiguousarray(frame[::2, ::2]) for frame in frames]
        streams = [video_stream(output, small), video_stream(output, frames)]
        streams[0].disposition, streams[1].disposition = Disposition(0), Disposition.default
        for stream, pictures in zip(streams, (small, frames), strict=True):
            mux(output, stream, pictures)


def interlaced(path: Path, frames: Frames) -> None:
    """A bar that moves, of two fields a frame."""
    bars = []
    for index in range(12):
        picture = np.zeros((96, 160, 3), np.uint8)
        for row in range(96):
            left = 10 + 10 * index + (5 if row % 2 else 0)
            picture[row, left : left + 20] = 255
        bars.append(picture)
    options = {"crf": "8", "x264-params": "tff=1", "flags": "+ildct+ilme"}
    clips.write(path, bars, options=options)


def browser_webm(path: Path, frames: Frames) -> None:
    """A recording of a browser: milliseconds are its time base and its rate."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libvpx", rate=1000)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = index * 33 + (index * 7) % 5
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def with_sound(codec: str, container: str = "mov") -> Maker:
    """A film with half a second of 500 Hz."""

    def make(path: Path, frames: Frames) -> None:
        with av.open(str(path), "w", format=container) as output:
            stream = video_stream(output, frames)
            audio: Any = output.add_stream(codec, rate=48000, layout="mono")
            mux(output, stream, frames)
            wave = np.sin(np.arange(24000) * 2 * np.pi * 500 / 48000).astype(np.float32) * 0.123
            sound = av.AudioFrame.from_ndarray(wave[None], "fltp", "mono")
            sound.sample_rate, sound.pts = 48000, 0
            resampler = av.AudioResampler(audio.format, "mono", 48000)
            for part in resampler.resample(sound):
                output.mux(audio.encode(part))
            output.mux(audio.encode(None))

    return make


def replaced(make: Maker, old: bytes, new: bytes) -> Maker:
    """The film with other bytes, such as the name of its codec."""

    def made(path: Path, frames: Frames) -> None:
        make(path, frames)
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new))

    return made


def cut(make: Maker, share: float) -> Maker:
    """The first part of the file."""

    def made(path: Path, frames: Frames) -> None:
        make(path, frames)
        data = path.read_bytes()
        path.write_bytes(data[: round(len(data) * share)])

    return made


def containing(data: bytes) -> Maker:
    return lambda path, frames: void(path.write_bytes(data))


def huge(path: Path, frames: Frames) -> None:
    """A PNG of 144 megapixels in a MOV, which takes 0.4 MB."""
    file = io.BytesIO()
    Image.new("1", (12000, 12000)).save(file, "PNG")
    with av.open(str(path), "w", format="mov") as output:
        stream = output.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 12000, 12000, "rgb24"
        packet = av.Packet(file.getvalue())
        packet.pts = packet.dts = 0
        packet.time_base, packet.stream = Fraction(1, 25), stream
        output.mux(packet)


def hidden_size(path: Path, frames: Frames) -> None:
    """The same, but the file says that it is small."""
    huge(path, frames)
    width = (12000).to_bytes(2, "big") * 2
    data = path.read_bytes()
    header = data.rindex(b"moov")
    path.write_bytes(data[:header] + data[header:].replace(width, (64).to_bytes(2, "big") * 2))


def song(path: Path, frames: Frames) -> None:
    """Sound with a cover picture."""
    with av.open(str(path), "w", format="mp4") as output:
        audio = output.add_stream("aac", rate=44100, layout="mono")
        cover = output.add_stream("mjpeg", rate=1)
        cover.height, cover.width, cover.pix_fmt = *frames[0].shape[:2], "yuvj420p"
        cover.disposition = Disposition.attached_pic
        mux(output, cover, frames[:1])
        for packet in clips.tone(audio, 0.5):
            output.mux(packet)


def folder(names: Callable[[int], str], *others: str, suffix: str = ".png", **options) -> Maker:
    """A folder of images, with other files in it."""

    def make(path: Path, frames: Frames) -> None:
        path.mkdir()
        for index, frame in enumerate(frames):
            Image.fromarray(frame).save(path / names(index), **options)
        for name in others:
            (path / name).write_bytes(b"\0\5\26\7 not a picture")

    return make
