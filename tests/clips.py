"""Clips to test with: frames (H, W, 3) of uint8, made of noise and a photo, and real files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

RATE = 25


def photo(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A textured picture: several octaves of smooth noise in colours."""
    random = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for octave in range(2, 7):
        grid = random.random((2**octave, 2**octave, 3), np.float32)
        picture += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / octave
    return _bytes((picture - picture.min()) / np.ptp(picture) * 255)


def panning(
    background: np.ndarray, foreground: np.ndarray, width: int, height: int, frames: int
) -> Iterator[np.ndarray]:
    """The camera moves over a photo, 1.7 px a frame, and a disc moves the other way before it."""
    radius = height // 5
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    for index in range(frames):
        shift = np.array([[1, 0, -1.7 * index], [0, 1, -0.4 * index]], np.float32)
        frame = cv2.warpAffine(
            background, shift, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        x, y = width * 0.2 + 2.6 * index, height * 0.55
        inside = np.clip(radius - np.hypot(columns - x, rows - y) + 0.5, 0, 1)[..., None]
        shift = np.array([[1, 0, x - radius], [0, 1, y - radius]], np.float32)
        disc = cv2.warpAffine(
            foreground, shift, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        yield _bytes(frame * (1 - inside) + disc * inside)


def noisy(
    still: np.ndarray, frames: int, sigma: float = 4.0, seed: int = 1
) -> Iterator[np.ndarray]:
    """A camera on a tripod: nothing but the sensor's noise changes."""
    random = np.random.default_rng(seed)
    for _ in range(frames):
        yield _bytes(still + random.normal(0, sigma, still.shape))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


def write(
    path: Path,
    frames: Iterator[np.ndarray] | list[np.ndarray],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    sound: bool = False,
    times: list[int] | None = None,
    rotation: int = 0,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    **settings: object,
) -> Path:
    """A real file. ``times``: of each frame, in milliseconds, for variable rates."""
    frames = list(frames)
    with av.open(str(path), "w", options=container or {}) as output:
        stream: Any = output.add_stream(codec, rate=RATE, options=options or {"crf": "12"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        for name, value in settings.items():
            setattr(stream.codec_context, name, value)
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        audio = output.add_stream("aac", rate=44100, layout="mono") if sound else None
        output.metadata["title"] = "a clip"
        for index, pixels in enumerate(frames):
            kind = "rgb24" if pixels.shape[2] == 3 else "rgba"
            frame = av.VideoFrame.from_ndarray(pixels, format=kind)
            frame.pts = times[index] if times is not None else index
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if audio is not None:
            seconds = times[-1] / 1000 if times is not None else len(frames) / RATE
            for packet in tone(audio, seconds):
                output.mux(packet)
    return path


def copied(
    source: Path,
    output: Path,
    damage: Callable[[str, int], bytes | None] = lambda kind, number: None,
) -> Path:
    """All packets of a file in another; the ``number``-th of a ``kind`` of stream, from 0, with
    other bytes where ``damage`` gives some.
    """
    with av.open(str(source)) as film, av.open(str(output), "w") as out:
        copies = {s.index: out.add_stream_from_template(s) for s in film.streams}
        seen = dict.fromkeys(copies, 0)
        for packet in film.demux():
            if not packet.size:
                continue
            kind, index = packet.stream.type, packet.stream_index
            data = damage(kind, seen[index])
            seen[index] += 1
            if data is not None:
                damaged = av.Packet(data)
                damaged.pts, damaged.dts, damaged.time_base = (
                    packet.pts,
                    packet.dts,
                    packet.time_base,
                )
                packet = damaged
            packet.stream = copies[index]
            out.mux(packet)
    return output


def tone(stream: av.AudioStream, seconds: float) -> Iterator[av.Packet]:
    """A rising tone, encoded."""
    samples = round(seconds * 44100)
    phase = np.cumsum(np.linspace(200, 800, samples)) * 2 * np.pi / 44100
    wave = (np.sin(phase) * 0.3).astype(np.float32)
    for start in range(0, samples, 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], "fltp", "mono")
        frame.sample_rate, frame.pts = 44100, start
        yield from stream.encode(frame)
    yield from stream.encode(None)
