"""Image files of every kind, each with what becomes of it.

To add a kind: a line in ``IMAGES``, with a function of ``image_files`` that makes the file.
"""

from __future__ import annotations

from dataclasses import dataclass

import image_files as files
import numpy as np
import pytest
from image_files import Maker, animation, cut, oriented, pillow, png, tiff
from PIL import Image, features

import impasto
from impasto.base.errors import ImageError

EXACT, ROUNDED, LOSSY = 0.01, 1.0, 12.0
"""How far the picture may be from the original on average, levels of 255: not at all, one rounding,
lossy compression.
"""
NO_EXIF = b"Exif\0\0http://example.org/not/exif"


@dataclass(frozen=True)
class Painted:
    """The file is read as the original.

    ``note`` is part of a sentence for the user, ``alpha`` the lowest value of the transparency;
    ``grey``, ``left_half`` and ``right_half`` say that only so much of the original is there,
    ``dark`` that it has an eighth of its levels.
    """

    within: float = EXACT
    note: str = ""
    alpha: float | None = None
    grey: bool = False
    left_half: bool = False
    right_half: bool = False
    dark: bool = False


@dataclass(frozen=True)
class Refused:
    """The file is refused, with a sentence that contains these words."""

    words: str


@dataclass(frozen=True)
class Flat:
    """The file is read as one color, this grey level of 255 within 4."""

    level: int
    note: str


GREY = Painted(grey=True)
CUT_SHORT = Painted(LOSSY, note="cut short")
FIRST_FRAME = Painted(LOSSY, note="only its first frame is used")
RAW = Refused("raw camera file")
HALF = Refused("damaged or cut short")

IMAGES: dict[str, tuple[Maker, Painted | Flat | Refused]] = {
    # Everyday files
    "PNG": (pillow("PNG"), Painted()),
    "JPEG": (pillow("JPEG", quality=92), Painted(LOSSY)),
    "progressive JPEG": (pillow("JPEG", progressive=True, quality=92), Painted(LOSSY)),
    "grey JPEG": (pillow("JPEG", "L", quality=92), Painted(LOSSY, grey=True)),
    "CMYK JPEG": (pillow("JPEG", "CMYK", quality=92), Painted(LOSSY)),
    "WebP": (pillow("WEBP", lossless=True), Painted()),
    "AVIF": (pillow("AVIF", quality=90), Painted(LOSSY)),
    "BMP": (pillow("BMP"), Painted()),
    "GIF": (pillow("GIF"), Painted(LOSSY)),
    "PPM": (pillow("PPM"), Painted()),
    "JPEG 2000": (pillow("JPEG2000"), Painted()),
    "TIFF": (pillow("TIFF"), Painted()),
    "TIFF, LZW": (pillow("TIFF", compression="tiff_lzw"), Painted()),
    # Orientation
    **{f"JPEG turned {n}": (oriented("JPEG", n, quality=92), Painted(LOSSY)) for n in range(2, 9)},
    **{f"PNG turned {n}": (oriented("PNG", n), Painted()) for n in (3, 6, 8)},
    **{f"16-bit TIFF turned {n}": (tiff(orientation=n), Painted()) for n in range(2, 9)},
    "16-bit TIFF turned, big-endian": (tiff(orientation=6, byteorder=">"), Painted()),
    "16-bit TIFF turned, planar": (tiff(orientation=8, planar=True), Painted()),
    # More than 8 bits
    "16-bit PNG": (files.deep_png, Painted()),
    "16-bit grey PNG with alpha": (
        files.deep_grey_with_alpha, Painted(grey=True, alpha=0.0, left_half=True),
    ),
    "16-bit TIFF": (tiff(), Painted()),
    "16-bit TIFF, deflate": (tiff(compression="adobe_deflate"), Painted()),
    "16-bit TIFF, deflate, predictor": (
        tiff(compression="adobe_deflate", predictor=True), Painted(),
    ),
    "16-bit TIFF, LZW": (tiff(compression="lzw"), Painted()),
    "16-bit TIFF, LZW, turned": (tiff(compression="lzw", orientation=6), Painted()),
    "16-bit TIFF, LZW, planar": (tiff(compression="lzw", planar=True), Painted()),
    "16-bit TIFF, ZSTD": (tiff(compression="zstd"), Painted()),
    "12-bit grey TIFF": (files.twelve_bits, Painted(ROUNDED, grey=True)),
    "16-bit TIFF, big-endian": (tiff(byteorder=">"), Painted()),
    "16-bit TIFF, planar": (tiff(planar=True), Painted()),
    "16-bit TIFF, tiled": (tiff(tile=(32, 32)), Painted()),
    "32-bit TIFF": (tiff("u4"), Painted()),
    "float TIFF": (tiff("f4"), Painted()),
    "half-float TIFF": (tiff("f2"), Painted(ROUNDED)),
    "float TIFF, planar": (tiff("f4", planar=True), Painted()),
    "grey TIFF, 0 is white": (files.inverted_grey("u1"), GREY),
    "16-bit grey TIFF, 0 is white": (files.inverted_grey("u2"), GREY),
    "16-bit grey TIFF, 0 is white, deflate": (
        files.inverted_grey("u2", compression="adobe_deflate"), GREY,
    ),
    # Transparency
    "16-bit TIFF, straight alpha": (files.straight("u2"), Painted(alpha=0.5)),
    "16-bit TIFF, premultiplied alpha": (files.premultiplied("u2"), Painted(ROUNDED, alpha=0.5)),
    "TIFF, straight alpha": (files.straight("u1"), Painted(alpha=0.5)),
    "TIFF with a sample that isn't alpha": (files.straight("u1", "unspecified"), Painted()),
    "16-bit TIFF with a sample that isn't alpha": (files.straight("u2", "unspecified"), Painted()),
    "grey TIFF with alpha": (files.grey_with_alpha("u1"), Painted(grey=True, alpha=0.5)),
    "grey TIFF with alpha, LZW": (
        files.grey_with_alpha("u2", compression="lzw"), Painted(grey=True, alpha=0.5),
    ),
    "grey TIFF with alpha, 0 is white": (
        files.grey_with_alpha("u1", "miniswhite"), Painted(grey=True, alpha=0.5),
    ),
    "4-bit PNG with a transparent level": (
        files.four_bit_png, Painted(LOSSY, grey=True, alpha=0.0, right_half=True),
    ),
    "16-bit CMYK TIFF, planar": (files.cmyk_tiff("u2", planar=True), Painted(LOSSY)),
    "CMYK TIFF with a spot color": (files.cmyk_tiff("u1", extra="unspecified"), Painted(LOSSY)),
    "CMYK TIFF": (files.cmyk_tiff("u1"), Painted(LOSSY)),
    "CMYK TIFF with alpha": (files.cmyk_tiff("u1", extra="unassalpha"), Painted(LOSSY, alpha=0.5)),
    "16-bit CMYK TIFF": (files.cmyk_tiff("u2"), Painted(LOSSY)),
    "16-bit CMYK TIFF with alpha": (
        files.cmyk_tiff("u2", extra="unassalpha"), Painted(LOSSY, alpha=0.5),
    ),
    # Color
    "PNG with sRGB's profile": (pillow("PNG", icc_profile=files.srgb_profile()), Painted()),
    "PNG with a linear profile": (files.linear_png, Painted(3.0)),
    "16-bit TIFF with a linear profile": (files.linear_deep_tiff, Painted(ROUNDED)),
    "PNG with a grey profile": (pillow("PNG", icc_profile=files.grey_profile()), Painted()),
    "JPEG with a grey profile": (
        pillow("JPEG", icc_profile=files.grey_profile(), quality=92), Painted(LOSSY),
    ),
    "16-bit TIFF with a grey profile": (tiff(iccprofile=files.grey_profile()), Painted()),
    "PNG with a broken profile": (pillow("PNG", icc_profile=b"not a profile"), Painted()),
    "PNG with the usual gAMA": (png((b"gAMA", files.number(45_455))), Painted()),
    "linear PNG with gAMA": (files.linear_gamma_png, Painted(ROUNDED)),
    "PNG with sRGB's cICP": (png((b"cICP", bytes([1, 13, 0, 1]))), Painted()),
    "PNG with gAMA and sRGB": (
        png((b"gAMA", files.number(100_000)), (b"sRGB", b"\0")), Painted(),
    ),
    "PNG with cICP and another profile": (
        lambda rgb: files.with_chunks(
            files.saved(Image.fromarray(rgb), "PNG", icc_profile=files.linear_profile()),
            (b"cICP", bytes([1, 13, 0, 1])),
        ),
        Painted(),
    ),
    "dark PNG of gamma 2.2": (files.dark_png, Painted(ROUNDED, dark=True)),
    "HDR PNG": (files.hdr_png, Flat(184, "is HDR")),
    # Metadata
    "PNG with EXIF that can't be read": (
        files.with_bad_exif("PNG", b"\0\x08\0\x02\x01\x12\0\x03"), Painted(),
    ),
    "WebP with EXIF that can't be read": (
        files.with_bad_exif("WEBP", NO_EXIF, lossless=True), Painted(),
    ),
    "JPEG with EXIF that can't be read": (
        files.with_bad_exif("JPEG", NO_EXIF, quality=92), Painted(LOSSY),
    ),
    "PNG with 2 MB of text": (files.png_with_text(2_000_000), Painted()),
    "PNG with 20,000 texts": (
        png(*[(b"tEXt", b"a\0b")] * 20_000), Refused("more PNG chunks than an image needs"),
    ),
    # Several pictures in a file
    "TIFF, a smaller copy first": (files.thumbnail_first("rgb"), Painted()),
    "TIFF, a smaller copy first, CMYK": (files.thumbnail_first("cmyk"), Painted(LOSSY)),
    "TIFF, a smaller copy first, palette": (files.thumbnail_first("palette"), Painted(LOSSY)),
    "TIFF of two pages": (files.pages, Painted(note="2 pages; only the first")),
    "DNG": (files.camera_raw("DNG"), RAW),
    "NEF": (files.camera_raw("NEF"), RAW),
    "animated GIF": (animation("GIF"), FIRST_FRAME),
    "animated PNG": (animation("PNG"), FIRST_FRAME),
    "animated WebP": (animation("WEBP"), FIRST_FRAME),
    "animated AVIF": (animation("AVIF"), FIRST_FRAME),
    # Files that are cut short
    **{
        f"JPEG without its last {n} bytes": (cut(pillow("JPEG", quality=q), n), CUT_SHORT)
        for n, q in ((1, 95), (2, 80), (3, 75))
    },
    "progressive JPEG without its end": (
        cut(pillow("JPEG", progressive=True, quality=80), 2), CUT_SHORT,
    ),
    "grey JPEG without its end": (
        cut(pillow("JPEG", "L", quality=80), 2), Painted(LOSSY, note="cut short", grey=True),
    ),
    "PNG without its end": (cut(pillow("PNG"), 12), Painted()),
    "PNG without its last pixels": (cut(pillow("PNG"), 40), CUT_SHORT),
    "WebP without its last byte": (cut(pillow("WEBP", lossless=True), 1), CUT_SHORT),
    "BMP without its last 2 bytes": (cut(pillow("BMP"), 2), CUT_SHORT),
    "planar 16-bit TIFF without its last bytes": (cut(tiff(planar=True), 30), CUT_SHORT),
    "planar 16-bit TIFF, 5 % missing": (cut(tiff(planar=True), 0.05), HALF),
    "PNG with other bytes in its middle": (
        files.without_middle(pillow("PNG"), 255, 0.0), HALF,
    ),
    "JPEG whose second half is zeros": (
        files.without_middle(pillow("JPEG", restart_marker_rows=1), 0, 0.5), HALF,
    ),
    "half a JPEG": (cut(pillow("JPEG"), 0.5), HALF),
    "half a progressive JPEG": (cut(pillow("JPEG", progressive=True), 0.5), HALF),
    "nine tenths of a JPEG": (cut(pillow("JPEG"), 0.15), HALF),
    "half a PNG": (cut(pillow("PNG"), 0.5), HALF),
    "half a WebP": (cut(pillow("WEBP"), 0.5), HALF),
    "half a TIFF": (cut(pillow("TIFF"), 0.5), HALF),
    # Not images
    "text": (lambda rgb: b"a painting of a cat", Refused("isn't an image of a known type")),
    "nothing": (lambda rgb: b"", Refused("is empty")),
    "the start of a TIFF": (lambda rgb: b"II*\0abcd", Refused("a TIFF file that is damaged")),
    "SVG": (lambda rgb: b"<svg xmlns='http://www.w3.org/2000/svg'/>", Refused("known type")),
}  # fmt: skip


@pytest.fixture(scope="module")
def original(photo_image) -> np.ndarray:
    """A photo (H, W, 3) uint8 with a red corner, top right, which tells how it is turned."""
    array = np.asarray(photo_image).copy()
    array[:10, -10:] = (255, 0, 0)
    return array


@pytest.mark.parametrize("kind", IMAGES)
def test_image(kind, original, tmp_path, capfd):
    make, expected = IMAGES[kind]
    if "AVIF" in kind and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    path = tmp_path / "picture"  # the type is told from the bytes
    path.write_bytes(make(original))
    if isinstance(expected, Refused):
        with pytest.raises(ImageError, match=expected.words):
            impasto.read(path)
    else:
        check(impasto.read(path), expected, original)
    assert capfd.readouterr().err == ""


def check(picture, expected: Painted | Flat, original: np.ndarray) -> None:
    pixels = picture.rgb[0].permute(1, 2, 0).numpy() * 255
    assert expected.note in " ".join(picture.notes)
    assert bool(picture.notes) == bool(expected.note)
    if isinstance(expected, Flat):
        assert np.abs(pixels - expected.level).max() < 4
        return
    shown = files.grey_of(original) if expected.grey else original
    assert pixels.shape == shown.shape
    shown = shown // 8 if expected.dark else shown
    middle = shown.shape[1] // 2
    columns = slice(middle * expected.right_half, middle if expected.left_half else None)
    difference = np.abs(pixels - shown)[:, columns]
    assert difference.mean() <= expected.within
    if expected.alpha is None:
        assert picture.alpha is None
    else:
        assert float(picture.alpha.min()) == pytest.approx(expected.alpha, abs=0.01)


def test_there_are_enough_kinds():
    assert len(IMAGES) >= 60
