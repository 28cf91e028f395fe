"""Decoded frames as upright arrays in sRGB."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation

from impasto.images.decoding import TRANSPOSED
from impasto.images.hdr import to_sdr
from impasto.images.tiff import ORIENTATIONS
from impasto.video.containers import orientation
from impasto.video.frames import (
    BT601,
    BT709,
    JPEG_RANGE,
    MPEG_RANGE,
    UNSPECIFIED,
    Clip,
    Colour,
)

SD_ROWS = 576
"""Players take an untagged film of at most so many rows as BT.601, and a larger one as BT.709."""
AREA, BICUBIC = Interpolation.AREA, Interpolation.BICUBIC
EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
"""Without these flags, FFmpeg's scaler makes colours darker by one of 255 levels."""


def colour_of(codec: Any, first: av.VideoFrame) -> Colour:
    """Return a film's colours as they are tagged, or else as players take them to be.

    Args:
        codec: The stream's codec context.
        first: Its first frame.
    """
    matrix = int(first.colorspace)
    if first.format.is_rgb:
        matrix = 0
    elif matrix == UNSPECIFIED:
        matrix = BT601 if first.height <= SD_ROWS else BT709
    is_full_range = first.format.name.startswith("yuvj") or int(first.color_range) == JPEG_RANGE
    return Colour(
        primaries=int(codec.color_primaries),
        transfer=int(codec.color_trc),
        matrix=matrix,
        range=JPEG_RANGE if is_full_range else MPEG_RANGE,
    )


def frame_pixels(frame: av.VideoFrame, clip: Clip, turned: int) -> np.ndarray:
    """Return a frame as (H, W, 3 or 4) of uint8 in the clip's size.

    Args:
        frame: A decoded frame.
        clip: The film; its size is that of upright frames.
        turned: The frame's orientation, 1 to 8 as in EXIF.
    """
    height, width = clip.height, clip.width
    if turned in TRANSPOSED:
        height, width = width, height
    formats = ("rgba", "rgba64le") if clip.has_alpha else ("rgb24", "rgb48le")
    is_reduced = height < frame.height
    converted = frame.reformat(
        width=width,
        height=height,
        format=formats[clip.is_hdr],
        interpolation=EXACT | (AREA if is_reduced else BICUBIC),
        src_colorspace=clip.colour.matrix,
        src_color_range=clip.colour.range,
        dst_color_range=JPEG_RANGE,
    )
    pixels = converted.to_ndarray()
    if clip.is_hdr:
        alpha = (pixels[..., 3:] // 257).astype(np.uint8)  # no channel where there is no alpha
        rgb = to_sdr(pixels[..., :3], clip.colour.transfer, clip.colour.primaries)
        pixels = np.concatenate([rgb, alpha], axis=2)
    return _upright(pixels, turned)


def upright(frame: av.VideoFrame, codec: str, colour: Colour) -> np.ndarray:
    """Return a frame as (H, W, 3) of uint8 in its own size.

    Args:
        frame: A decoded frame.
        codec: The name of its codec.
        colour: Its colours.
    """
    pixels = frame.reformat(
        format="rgb24",
        interpolation=EXACT | BICUBIC,
        src_colorspace=colour.matrix,
        src_color_range=colour.range,
        dst_color_range=JPEG_RANGE,
    ).to_ndarray()
    return _upright(pixels, orientation(frame, codec))


def _upright(pixels: np.ndarray, turned: int) -> np.ndarray:
    turn = ORIENTATIONS.get(turned)
    return np.ascontiguousarray(pixels if turn is None else turn(pixels))
