"""Codecs that films are written with: their encoders, pixel formats, options and containers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import av

from impasto.base.errors import OutputError, unknown


@dataclass(frozen=True)
class Codec:
    """A codec with its options.

    Attributes:
        encoder: FFmpeg's name of the encoder.
        pixels: The pixel format.
        alpha_pixels: The pixel format with transparency, or None.
        quality: The option that ``--crf`` sets, its default and its maximum, or None.
        has_even_sides: Whether the frames' sides must be even.
        options: Options of the encoder.
        max_rate: Highest frame rate, frames per second.
    """

    encoder: str
    pixels: str
    alpha_pixels: str | None = None
    quality: tuple[str, int, int] | None = ("crf", 18, 51)
    has_even_sides: bool = True
    options: dict[str, str] = field(default_factory=dict)
    max_rate: int = 1000

    @property
    def is_rgb(self) -> bool:
        return self.pixels.startswith(("rgb", "bgr"))

    def fitted(self, width: int, height: int) -> tuple[int, int]:
        """Return the largest size within another one that frames can have, px."""
        return (width // 2 * 2, height // 2 * 2) if self.has_even_sides else (width, height)


CODECS = {
    # With mbtree, x264 doesn't always write the same bytes, as a resumed film must.
    "h264": Codec(
        "libx264",
        "yuv420p",
        quality=("crf", 16, 51),
        options={"preset": "veryfast", "mbtree": "0"},
    ),
    "hevc": Codec(
        "libx265", "yuv420p", quality=("crf", 22, 51), options={"x265-params": "log-level=none"}
    ),
    "vp9": Codec(
        "libvpx-vp9",
        "yuv420p",
        alpha_pixels="yuva420p",
        quality=("crf", 24, 63),
        options={"b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"},
    ),
    "av1": Codec(
        "libsvtav1", "yuv420p", quality=("crf", 28, 63), options={"preset": "8"}, max_rate=240
    ),
    "prores": Codec(
        "prores_ks", "yuv422p10le", alpha_pixels="yuva444p10le", quality=None, has_even_sides=False,
        options={"profile": "auto"},
    ),
    "ffv1": Codec("ffv1", "bgr0", alpha_pixels="bgra", quality=None, has_even_sides=False),
    "gif": Codec("ffv1", "bgr0", alpha_pixels="bgra", quality=None, has_even_sides=False),
}  # fmt: skip
"""The codecs by their names for ``--codec``."""

BY_SUFFIX = {
    ".mp4": ("h264", "hevc", "av1"),
    ".m4v": ("h264", "hevc", "av1"),
    ".mov": ("h264", "hevc", "prores"),
    ".mkv": ("h264", "hevc", "vp9", "av1", "prores", "ffv1"),
    ".webm": ("vp9", "av1"),
    ".gif": ("gif",),
}
"""The codecs that a file may have, the default first. A GIF is made from a lossless work file."""
QUICKTIME = (".mp4", ".m4v", ".mov")


def codec_for(path: Path, name: str | None, crf: int | None, *, has_alpha: bool) -> Codec:
    """Return the codec for a file.

    Args:
        path: The file.
        name: A name of a codec; None for the default.
        crf: The quality; None for the default.
        has_alpha: Whether the film has transparency.

    Raises:
        OutputError: The file can't have that codec or quality.
    """
    suffix = path.suffix.lower()
    if suffix not in BY_SUFFIX:
        if not suffix:
            raise OutputError(f"{path} has no extension; a film is one of {' '.join(BY_SUFFIX)}")
        raise OutputError(unknown("film format", suffix, BY_SUFFIX))
    if name is not None and name not in BY_SUFFIX[suffix]:
        allowed = " or ".join(BY_SUFFIX[suffix])
        raise OutputError(f"a {suffix} file holds {allowed}, not {name}")
    codec = CODECS[name or BY_SUFFIX[suffix][0]]
    if codec.encoder not in av.codecs_available:
        raise OutputError(f"PyAV has no encoder {codec.encoder} here; choose another --codec")
    options = dict(codec.options)
    if codec.quality is None:
        if crf is not None:
            raise OutputError(f"{name or BY_SUFFIX[suffix][0]} has no --crf")
    else:
        option, default, maximum = codec.quality
        if crf is not None and not 0 <= crf <= maximum:
            raise OutputError(f"--crf is from 0 to {maximum} there, not {crf}")
        options[option] = str(default if crf is None else crf)
    pixels = codec.alpha_pixels if has_alpha and codec.alpha_pixels else codec.pixels
    return replace(codec, pixels=pixels, options=options)
