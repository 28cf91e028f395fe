"""What films are written as: encoders, what they can hold, and their options."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import av

os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder says nothing but errors

from impasto.base.errors import OutputError, unknown


@dataclass(frozen=True)
class Codec:
    """``quality`` is the option that ``--crf`` sets, with its default and its end; ``even``: sides
    are even; ``alpha`` is the pixel format that has it. ``max_rate`` are frames per second.
    """

    encoder: str
    pixels: str
    alpha: str | None = None
    quality: tuple[str, int, int] | None = ("crf", 18, 51)
    even: bool = True
    options: dict[str, str] = field(default_factory=dict)
    max_rate: int = 1000

    @property
    def is_rgb(self) -> bool:
        return self.pixels.startswith(("rgb", "bgr"))

    def fitted(self, width: int, height: int) -> tuple[int, int]:
        """The size of frames that it can hold, px."""
        return (width // 2 * 2, height // 2 * 2) if self.even else (width, height)


CODECS = {
    # With mbtree x264 doesn't always give the same bytes: a film that is gone on with must.
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
        alpha="yuva420p",
        quality=("crf", 24, 63),
        options={"b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"},
    ),
    "av1": Codec(
        "libsvtav1", "yuv420p", quality=("crf", 28, 63), options={"preset": "8"}, max_rate=240
    ),
    "prores": Codec(
        "prores_ks", "yuv422p10le", alpha="yuva444p10le", quality=None, even=False,
        options={"profile": "auto"},
    ),
    "ffv1": Codec("ffv1", "bgr0", alpha="bgra", quality=None, even=False),
    "gif": Codec("ffv1", "bgr0", alpha="bgra", quality=None, even=False),
}  # fmt: skip
"""By the names that ``--codec`` knows."""

BY_SUFFIX = {
    ".mp4": ("h264", "hevc", "av1"),
    ".m4v": ("h264", "hevc", "av1"),
    ".mov": ("h264", "hevc", "prores"),
    ".mkv": ("h264", "hevc", "vp9", "av1", "prores", "ffv1"),
    ".webm": ("vp9", "av1"),
    ".gif": ("gif",),
}
"""What a file may hold, and by default the first; GIFs are made of a lossless film at the end."""
QUICKTIME = (".mp4", ".m4v", ".mov")
DEFAULT_SUFFIX = ".mp4"


def codec_for(path: Path, name: str | None, crf: int | None, *, alpha: bool) -> Codec:
    """The codec for a file, with the quality that is asked for. Raises OutputError."""
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
        option, default, most = codec.quality
        if crf is not None and not 0 <= crf <= most:
            raise OutputError(f"--crf is from 0 to {most} there, not {crf}")
        options[option] = str(default if crf is None else crf)
    pixels = codec.alpha if alpha and codec.alpha else codec.pixels
    return replace(codec, pixels=pixels, options=options)
