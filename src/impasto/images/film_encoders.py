"""Encoders of short films: MP4, animated GIF and animated WebP."""

from __future__ import annotations

import io
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from impasto.base import extras
from impasto.base.errors import OutputError, unknown

MP4_LONG_SIDE_PX = 1920  # phones and browsers play it smoothly, upright too
WEBP_LONG_SIDE_PX = 1024
GIF_LONG_SIDE_PX = 640

H264_ENCODER = "libx264"
H264_OPTIONS = {
    "crf": "18",  # visually almost lossless
    "preset": "fast",
    "rc-lookahead": "10",  # frames that the encoder keeps in memory; 40 gain little
}
BT709 = 1  # number of colour primaries, transfer function and matrix in ITU-T H.273
LIMITED_RANGE = 1  # FFmpeg's number for luma from 16 to 235

WEBP_ANIMATION_QUALITY = 85
GIF_COLOURS = 256
PALETTE_SAMPLES = 8
"""A GIF's palette is computed from so many of its pictures."""


class FilmEncoder(ABC):
    """Encodes pictures one by one into the bytes of a file.

    All pictures get the size of the first, which is reduced to ``long_side``.

    Attributes:
        frames_per_second: The rate in which durations are counted.
        long_side: Largest long side, px.
        size: Width and height of the film, px; None before the first picture.
    """

    frames_per_second: float
    long_side: int

    def __init__(self) -> None:
        self.size: tuple[int, int] | None = None

    def show(self, rgb: np.ndarray, frames: int) -> None:
        """Add a picture.

        Args:
            rgb: (H, W, 3) of uint8.
            frames: How many frames long it is shown.
        """
        image = Image.fromarray(rgb)
        if self.size is None:
            factor = min(1.0, self.long_side / max(image.size))
            self.size = self._allowed(round(image.width * factor), round(image.height * factor))
        if image.size != self.size:
            image = self._fitted(image, *self.size)
        self._append(image, frames)

    def _allowed(self, width: int, height: int) -> tuple[int, int]:
        return width, height

    def _fitted(self, image: Image.Image, width: int, height: int) -> Image.Image:
        return image.resize((width, height), Image.Resampling.LANCZOS)

    @abstractmethod
    def _append(self, image: Image.Image, frames: int) -> None: ...

    @abstractmethod
    def encode(self) -> bytes:
        """Return the bytes of the file. No picture can be added afterwards."""


class Mp4Encoder(FilmEncoder):
    """Encodes H.264 with 4:2:0 colours, which all players support.

    The memory that it needs doesn't depend on the film's length. Sides are even: the last row or
    column of odd ones is left out.
    """

    frames_per_second = 24
    long_side = MP4_LONG_SIDE_PX

    def __init__(self) -> None:
        super().__init__()
        extras.require("video")
        import av  # noqa: PLC0415 (an optional package)

        if H264_ENCODER not in av.codecs_available:
            raise OutputError("PyAV has no H.264 encoder here; choose .gif or .webp for the film")
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        self.container: Any = None
        self.stream: Any = None
        self.count = 0

    def _allowed(self, width: int, height: int) -> tuple[int, int]:
        return max(2, width - width % 2), max(2, height - height % 2)

    def _fitted(self, image: Image.Image, width: int, height: int) -> Image.Image:
        if image.width - width in (0, 1) and image.height - height in (0, 1):
            return image.crop((0, 0, width, height))
        return super()._fitted(image, width, height)

    def _append(self, image: Image.Image, frames: int) -> None:
        import av  # noqa: PLC0415 (an optional package)

        if self.container is None:
            self._open(*image.size)
        frame = av.VideoFrame.from_ndarray(np.asarray(image), format="rgb24").reformat(
            format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
        )
        for _ in range(frames):
            frame.pts, self.count = self.count, self.count + 1
            self.container.mux(self.stream.encode(frame))

    def _open(self, width: int, height: int) -> None:
        import av  # noqa: PLC0415 (an optional package)

        # In a file on disk, because FFmpeg seeks in it to put the index first, as browsers need it.
        self.folder = tempfile.TemporaryDirectory(prefix="impasto-")
        path = Path(self.folder.name, "film.mp4")
        self.container = av.open(str(path), "w", options={"movflags": "+faststart"})
        self.stream = self.container.add_stream(
            H264_ENCODER, rate=self.frames_per_second, options=H264_OPTIONS
        )
        self.stream.width, self.stream.height, self.stream.pix_fmt = width, height, "yuv420p"
        context = self.stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = LIMITED_RANGE

    def encode(self) -> bytes:
        assert self.folder is not None
        with self.folder as folder:
            self.container.mux(self.stream.encode(None))
            self.container.close()
            return Path(folder, "film.mp4").read_bytes()


class AnimationEncoder(FilmEncoder):
    """Encodes an animated image, which repeats for ever. All pictures are kept in memory."""

    frames_per_second = 12.5  # 80 ms: GIF counts in hundredths of a second

    def __init__(self) -> None:
        super().__init__()
        self.images: list[Image.Image] = []
        self.durations: list[int] = []  # ms

    def _append(self, image: Image.Image, frames: int) -> None:
        self.images.append(image)
        self.durations.append(round(frames * 1000 / self.frames_per_second))

    def _saved(self, images: list[Image.Image], **options: Any) -> bytes:
        buffer = io.BytesIO()
        first, *rest = images
        first.save(
            buffer, save_all=True, append_images=rest, duration=self.durations, loop=0, **options
        )
        return buffer.getvalue()


class WebPEncoder(AnimationEncoder):
    """Encodes an animated WebP, lossy."""

    long_side = WEBP_LONG_SIDE_PX

    def encode(self) -> bytes:
        return self._saved(self.images, format="WEBP", quality=WEBP_ANIMATION_QUALITY)


class GifEncoder(AnimationEncoder):
    """Encodes an animated GIF, with one palette for all pictures.

    With a palette for each picture, static areas would flicker.
    """

    long_side = GIF_LONG_SIDE_PX

    def encode(self) -> bytes:
        palette = self._palette()
        return self._saved(
            [image.quantize(palette=palette) for image in self.images],
            format="GIF",
            optimize=False,  # else each picture gets a palette of its own
        )

    def _palette(self) -> Image.Image:
        """Return an image with the palette of some pictures, the last one among them."""
        chosen = np.linspace(0, len(self.images) - 1, min(PALETTE_SAMPLES, len(self.images)))
        samples = [np.asarray(self.images[round(index)]) for index in chosen]
        return Image.fromarray(np.concatenate(samples)).quantize(GIF_COLOURS)


ENCODERS: dict[str, type[FilmEncoder]] = {
    ".mp4": Mp4Encoder,
    ".gif": GifEncoder,
    ".webp": WebPEncoder,
}


def film_encoder_for(path: Path) -> type[FilmEncoder]:
    """Return the encoder that a file's suffix asks for. Raises OutputError if there is none."""
    extension = path.suffix.lower()
    if extension not in ENCODERS:
        if not extension:
            raise OutputError(f"{path} has no extension; a film is one of {' '.join(ENCODERS)}")
        raise OutputError(unknown("film format", extension, ENCODERS))
    return ENCODERS[extension]
