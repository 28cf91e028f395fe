"""Decoding an image file to a Picture: upright and in sRGB."""

from __future__ import annotations

import hashlib
import io
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from impasto.base.errors import ImageError
from impasto.images import color_space, icc, png_chunks
from impasto.images.arrays import from_array, reduced, unit_range
from impasto.images.color_space import TaggedColor
from impasto.images.deep import HEADER_BYTES, read_deep
from impasto.images.limits import Limits
from impasto.images.opening import DAMAGE, damaged, open_image
from impasto.images.picture import Picture
from impasto.images.tiff import ORIENTATIONS, is_tiff, read_tiff
from impasto.images.truncated import completed

NeededSide = Callable[[int, int], int]
"""A function from (height, width) of the picture in a file to the long side that is needed, px."""

SPARE_SCALE = 2
"""A picture is reduced while it is read to no less than so many times the size that is needed, so
that resizing to that size looks the same.
"""
ORIENTATION = 0x0112
"""The tag of EXIF and TIFF."""
TRANSPOSED = (5, 6, 7, 8)
"""Orientations that swap height and width."""
ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
REREAD = ("PNG", "TIFF", "AVIF", "JPEG2000", "PPM")
"""Types of which Pillow's own decoding isn't all that there is: depth, layout or color."""
ANIMATIONS = ("GIF", "PNG", "WEBP", "AVIF")


def decode(
    data: bytes, name: str, limits: Limits, needed_side: NeededSide | None = None
) -> Picture:
    """Decode a file.

    Args:
        data: The file.
        name: What to call it.
        limits: Of its pixels.
        needed_side: Where given, a larger picture is reduced while it is read: to ``SPARE_SCALE``
            times this size at least, in at most 8 bytes of memory for each pixel of the file.

    Raises:
        ImageError: It isn't an image, is damaged, or too large.
    """
    try:
        picture = _decode(data, name, limits, needed_side)
    except ImageError as error:
        if not isinstance(error.__cause__, DAMAGE):
            raise
        picture = _decode_completed(data, name, limits, needed_side, error)
    return replace(picture, name=name, sha256=hashlib.sha256(data).hexdigest())


def from_pil(
    image: Image.Image, name: str, limits: Limits, needed_side: NeededSide | None = None
) -> Picture:
    """Decode an image that Pillow has opened.

    One that Pillow hasn't decoded yet is decoded from its file, as a path would be.

    Raises:
        ImageError: It is damaged.
    """
    data = _unread_file(image)
    if data is not None:
        return replace(decode(data, name, limits, needed_side), sha256=None)
    try:
        image.load()
    except DAMAGE as error:
        raise damaged(name, error) from error
    return _guarded(image, None, name, needed_side)


def _unread_file(image: Image.Image) -> bytes | None:
    """Return the file of an image whose pixels haven't been read; None if there is none."""
    file = getattr(image, "fp", None)
    if image.format not in REREAD or not getattr(image, "tile", None) or not file or image.tell():
        return None
    try:
        position = file.tell()
        file.seek(0)
        data: bytes = file.read()
        file.seek(position)
    except (OSError, ValueError):
        return None
    return data


def _decode(data: bytes, name: str, limits: Limits, needed_side: NeededSide | None) -> Picture:
    if is_tiff(data):
        return _decode_tiff(data, name, limits, needed_side)
    image = open_image(io.BytesIO(data), name, limits)
    return _guarded(image, data, name, needed_side)


def _decode_tiff(data: bytes, name: str, limits: Limits, needed_side: NeededSide | None) -> Picture:
    tiff = read_tiff(data, name, limits)
    if tiff.samples is not None:
        height, width = tiff.samples.shape[:2]
        needed = math.inf if needed_side is None else SPARE_SCALE * needed_side(height, width)
        picture = _from_samples(tiff.samples, tiff.profile, None, name, needed)
        picture = replace(picture, full_size=(height, width))
    else:
        try:
            image = open_image(io.BytesIO(data), name, limits)
        except ImageError as error:
            raise ImageError(
                f"{name} is a TIFF file that is damaged, or of a kind that isn't understood"
            ) from error.__cause__
        if tiff.page:
            image.seek(tiff.page)
        picture = _guarded(image, data, name, needed_side)
    if tiff.pages > 1:
        picture = picture.with_note(f"{name} has {tiff.pages} pages; only the first one is used")
    return picture


def _decode_completed(
    data: bytes,
    name: str,
    limits: Limits,
    needed_side: NeededSide | None,
    error: ImageError,
) -> Picture:
    """Decode a file that lacks a few bytes at its end, or raise ``error`` again."""
    try:
        whole = completed(data)
        if whole is None:
            raise error
        picture = _decode(whole, name, limits, needed_side)
    except (ImageError, *DAMAGE):
        raise error from error.__cause__
    return picture.with_note(f"{name} is cut short: a few bytes are missing at its end")


def _guarded(
    image: Image.Image, data: bytes | None, name: str, needed_side: NeededSide | None
) -> Picture:
    """``_from_pil``, with every damage told in one way."""
    try:
        return _from_pil(image, data, name, needed_side)
    except Image.DecompressionBombError as error:  # some plug-ins check by themselves
        raise ImageError(f"{name} has too many pixels for a file of its type") from error
    except DAMAGE as error:
        raise damaged(name, error) from error


def _from_pil(
    image: Image.Image, data: bytes | None, name: str, needed_side: NeededSide | None
) -> Picture:
    conversion = Conversion.of(image, data)
    full_size = conversion.upright_size(image)
    needed = math.inf if needed_side is None else SPARE_SCALE * needed_side(*full_size)
    is_animated = image.format in ANIMATIONS and getattr(image, "is_animated", False)
    is_animation = is_animated and image.tell() == 0
    picture = conversion.picture(image, name, needed, _deep_samples(image, data))
    if is_animation:
        picture = picture.with_note(
            f"{name} is an animation; only its first frame is used (impasto video paints them all)"
        )
    return replace(picture, full_size=full_size)


@dataclass(frozen=True)
class Conversion:
    """The conversion of pixels to upright and sRGB; the same for each frame of an animation.

    Attributes:
        orientation: As EXIF counts, 1 to 8.
        profile: The ICC profile, unless it is sRGB's.
        color: The color space, where something else than a profile says it.
    """

    orientation: int
    profile: bytes | None
    color: TaggedColor | None

    @classmethod
    def of(cls, image: Image.Image, data: bytes | None) -> Conversion:
        """Return that of an image; ``data`` is its file."""
        orientation = _orientation(image)
        if data is not None and image.format == "PNG":
            png_chunks.scale_transparent_grey(image, data)
        return cls(orientation, *_color(image, data))

    def upright_size(self, image: Image.Image) -> tuple[int, int]:
        """Return (height, width) of the image when it is upright."""
        size = image.height, image.width
        return size[::-1] if self.orientation in TRANSPOSED else size

    def picture(
        self,
        image: Image.Image,
        name: str,
        needed: float = math.inf,
        deep: np.ndarray | None = None,
    ) -> Picture:
        """Return an image as a picture, reduced to ``needed`` px.

        ``deep`` are its samples where Pillow would reduce them to 8 bits.
        """
        turn = ORIENTATIONS.get(self.orientation)
        profile, samples = self.profile, deep
        if samples is None:
            samples, profile = _eight_bits(image, profile, needed), None
        samples = samples if turn is None else turn(samples)
        return _from_samples(samples, profile, self.color, name, needed)


def _from_samples(
    samples: np.ndarray, profile: bytes | None, color: TaggedColor | None, name: str, needed: float
) -> Picture:
    """Reduce (H, W) or (H, W, 1 or 3 or 4) to ``needed`` px, convert it to sRGB."""
    samples = samples if samples.ndim == 3 else samples[:, :, None]
    factor = int(max(samples.shape[:2]) // needed)
    if factor > 1:
        samples = reduced(samples, factor)
    if profile is None and color is None:
        return from_array(samples, name)
    samples = unit_range(samples)
    channels = 3 if samples.shape[2] >= 3 else 1
    colors, alpha = samples[..., :channels], samples[..., 3:]
    if color is not None:
        colors = color.to_srgb(np.broadcast_to(colors, (*colors.shape[:2], 3)))
    elif profile is not None:
        colors = icc.samples_to_srgb(colors, profile)
    if alpha.shape[2] and colors.shape[2] == 1:
        colors = np.repeat(colors, 3, axis=2)
    picture = from_array(np.concatenate([colors, alpha], axis=2), name)
    if color is not None and color.is_hdr:
        picture = picture.with_note(f"{name} is HDR; it is painted in standard range")
    return picture


def _orientation(image: Image.Image) -> int:
    """Return the orientation by EXIF; 1, upright, where it has none that can be read."""
    if image.format == "TIFF":
        image.load()  # turns it
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # looking for it would decode the pixels, and hide that they are damaged
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except DAMAGE:
        return 1


def _color(image: Image.Image, data: bytes | None) -> tuple[bytes | None, TaggedColor | None]:
    """Return the ICC profile or the color space by which to convert an image to sRGB, if any."""
    profile: bytes | None = image.info.get("icc_profile") or None
    if profile is not None and icc.is_srgb(profile):
        profile = None
    if data is not None and image.format == "PNG":
        is_tagged, color = png_chunks.tagged_color(data)
        if is_tagged:
            return None, color
    elif data is not None and image.format in ("AVIF", "HEIF"):
        color = _heif_color(data)
        if color is not None and (color.is_hdr or profile is None):
            return None, color
    return profile, None


def _heif_color(data: bytes) -> TaggedColor | None:
    """Read the first ColourInformationBox with code points (ISO/IEC 14496-12, section 12.1.5)."""
    start = data.find(b"colrnclx", 0, HEADER_BYTES) + 8
    if start < 8 or start + 4 > len(data):
        return None
    return color_space.from_code_points(*struct.unpack(">HH", data[start : start + 4]))


def _deep_samples(image: Image.Image, data: bytes | None) -> np.ndarray | None:
    """Return the samples of a picture of more than 8 bits per channel; None for the others."""
    if image.mode.startswith(("I", "F")):
        return _grey_samples(image)
    return None if data is None else read_deep(data, image.format)


def _grey_samples(image: Image.Image) -> np.ndarray:
    """Return 16-bit grey, or floating-point grey that is in [0, 1] already, as float in [0, 1].

    Pillow's mode "I" is 32 bits wide and holds 16-bit files; what other range its values have, no
    file says. Raises ImageError.
    """
    values = np.asarray(image)
    transparent = image.info.get("transparency")
    opaque = None if transparent is None else values != transparent
    values = values.astype(np.float64)
    if image.mode != "F":
        values /= 65535  # of 16 bits; other depths aren't decoded by Pillow
    if values.size and not (values.min() >= 0 and values.max() <= 1):  # NaN fails this too
        raise ImageError(
            "a picture of floating-point or 32-bit numbers must be between 0 and 1 (16-bit: 65535)"
            " everywhere; divide by its maximum"
        )
    return values if opaque is None else np.dstack([values, values, values, opaque])


def _eight_bits(image: Image.Image, profile: bytes | None, needed: float) -> np.ndarray:
    """Return (H, W, 3 or 4) uint8 in sRGB, not turned upright, reduced to ``needed`` px."""
    factor = int(max(image.size) // needed)
    if factor > 1:
        image = _reduced(image, factor)
    alpha = None
    if image.mode in ALPHA_MODES or "transparency" in image.info:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    if profile is not None:
        image = icc.to_srgb(image, profile)
    rgb = np.asarray(image.convert("RGB"))
    return rgb if alpha is None else np.dstack([rgb, alpha])


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    """Average over squares of about ``factor`` px."""
    size = max(1, round(image.width / factor)), max(1, round(image.height / factor))
    # A JPEG is decoded at 1/2, 1/4 or 1/8 of its size, but not smaller than twice what is left.
    draft = image.draft(image.mode, (2 * size[0], 2 * size[1]))
    if "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode in ("1", "P", "LAB", "HSV"):  # whose numbers can't be averaged
        image = image.convert("RGB")
    return image.resize(size, Image.Resampling.BOX, box=None if draft is None else draft[1])
