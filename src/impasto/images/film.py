"""Writing films: MP4, animated GIF and animated WebP."""

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

MP4_LONG_SIDE_PX = 1920  # what every phone and browser plays smoothly, upright too
WEBP_LONG_SIDE_PX = 1024
GIF_LONG_SIDE_PX = 640

H264_ENCODER = "libx264"
H264_OPTIONS = {
    "crf": "18",  # hardly told from the original
    "preset": "fast",
    "rc-lookahead": "10",  # frames that the encoder keeps; four times as many gain little
}
BT709 = 1  # in H.264's tables of colour primaries, transfer functions and matrices
LIMITED_RANGE = 1  # ffmpeg's number for luma from 16 to 235

WEBP_ANIMATION_QUALITY = 85
GIF_COLOURS = 256
PALETTE_SAMPLES = 8
"""So many pictures of a GIF are looked at to choose its colours."""


class Film(ABC):
    """Takes pictures one by one, and becomes the bytes of a file.

    All are brought to the size of the first, which is made smaller if its long side has more than
    ``long_side`` px. Time is counted in frames, ``frames_per_second``.
    """

    frames_per_second: float
    long_side: int

    def __init__(self) -> None:
        self.size: tuple[int, int] | None = None  # width, height

    def show(self, rgb: np.ndarray, frames: int) -> None:
        """Show a picture, (H, W, 3) of uint8, for so many frames."""
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
        """The file; nothing can be shown after that."""


class Mp4(Film):
    """H.264 with 4:2:0 colours, which plays everywhere. Memory doesn't grow with its length.

    Such a film has even sides: of odd ones the last row or column is left out.
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

        # In a real file: ffmpeg goes back in it to put the index first, where browsers want it.
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


class Animation(Film):
    """An animated image, which repeats for ever. Its pictures are kept until the end."""

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


class AnimatedWebP(Animation):
    """WebP, lossy."""

    long_side = WEBP_LONG_SIDE_PX

    def encode(self) -> bytes:
        return self._saved(self.images, format="WEBP", quality=WEBP_ANIMATION_QUALITY)


class AnimatedGif(Animation):
    """GIF. One palette for all pictures: with one each, still areas would flicker."""

    long_side = GIF_LONG_SIDE_PX

    def encode(self) -> bytes:
        palette = self._palette()
        return self._saved(
            [image.quantize(palette=palette) for image in self.images],
            format="GIF",
            optimize=False,  # it would give each picture a palette of its own
        )

    def _palette(self) -> Image.Image:
        """An image with the colours that suit some of the pictures, the last among them."""
        chosen = np.linspace(0, len(self.images) - 1, min(PALETTE_SAMPLES, len(self.images)))
        samples = [np.asarray(self.images[round(index)]) for index in chosen]
        return Image.fromarray(np.concatenate(samples)).quantize(GIF_COLOURS)


FILMS: dict[str, type[Film]] = {".mp4": Mp4, ".gif": AnimatedGif, ".webp": AnimatedWebP}


def film_for(path: Path) -> type[Film]:
    """The kind of film that a file name asks for. Raises OutputError if there is none."""
    extension = path.suffix.lower()
    if extension not in FILMS:
        if not extension:
            raise OutputError(f"{path} has no extension; a film is one of {' '.join(FILMS)}")
        raise OutputError(unknown("film format", extension, FILMS))
    return FILMS[extension]
