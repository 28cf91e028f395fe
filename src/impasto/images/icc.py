"""ICC profiles: which of them leave colors as they are, and conversion to sRGB by the others."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from impasto.images import color_space

SRGB_LEVELS = 5
SRGB_TOLERANCE = 4
"""Levels of 255 by which a profile may move a color and still be sRGB: profiles of sRGB round
their curves in several ways.
"""
UNREADABLE = (ImageCms.PyCMSError, OSError, ValueError)


@lru_cache(maxsize=8)
def is_srgb(profile: bytes) -> bool:
    """Return whether a profile leaves colors as they are. Its name may say anything."""
    levels = np.linspace(0, 255, SRGB_LEVELS).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    greys = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    colors = np.ascontiguousarray(np.concatenate([cube, greys], axis=1))  # (1, N, 3)
    try:
        converted = ImageCms.profileToProfile(
            Image.fromarray(colors),
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    except UNREADABLE:
        return False
    difference = np.abs(np.asarray(converted).astype(int) - colors.astype(int))
    return bool(difference.max() <= SRGB_TOLERANCE)


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert an image of 8 bits; a profile that is broken or of another color space is ignored, as
    browsers do.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if image.mode not in ("CMYK", "LAB"):
            is_grey = source.profile.xcolor_space.strip() == "GRAY"
            if is_grey and not _is_grey(image):
                return image
            image = image.convert("L" if is_grey else "RGB")
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except UNREADABLE:
        return image
    return image if converted is None else converted


def samples_to_srgb(samples: np.ndarray, profile: bytes) -> np.ndarray:
    """Convert (H, W, 1 or 3) float32 in [0, 1], in full precision where the profile has no tables.

    Returns:
        (H, W, 1 or 3); as it is where the profile is broken or of another color space.
    """
    space = color_space.from_icc(profile)
    if space is None and _is_usable(profile):
        levels = np.rint(samples * 255).astype(np.uint8)
        image = Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels)
        return np.asarray(to_srgb(image, profile).convert("RGB")).astype(np.float32) / 255
    if space is None:
        return samples
    if space.channels == 3:
        return space.to_srgb(np.broadcast_to(samples, (*samples.shape[:2], 3)))
    if samples.shape[2] == 3 and (samples != samples[..., :1]).any():
        return samples
    return space.to_srgb(samples[..., :1])


def _is_usable(profile: bytes) -> bool:
    """Return whether a profile can be read and is one of grey or RGB."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return source.profile.xcolor_space.strip() in ("GRAY", "RGB")
    except UNREADABLE:
        return False


def _is_grey(image: Image.Image) -> bool:
    """Return whether an image of any mode has no colors."""
    if image.mode in ("1", "L", "LA", "La"):
        return True
    rgb = np.asarray(image.convert("RGB"))
    return bool((rgb == rgb[..., :1]).all())
