"""Image files of unusual kinds, made from one picture, as bytes."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from impasto.images.tiff import ORIENTATIONS

Picture = np.ndarray
"""(H, W, 3) uint8, sRGB."""
Maker = Callable[[Picture], bytes]

EXIF_ORIENTATION = 0x0112
RESTORED_BY = {6: 8, 8: 6}
"""The orientation that turns back, where it isn't the same."""


def saved(image: Image.Image, format: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def pillow(format: str, mode: str = "RGB", **options) -> Maker:
    """The picture as Pillow saves it."""
    return lambda rgb: saved(Image.fromarray(rgb).convert(mode), format, **options)


def oriented(format: str, orientation: int, **options) -> Maker:
    """The picture turned, with the tag that turns it back."""

    def make(rgb: Picture) -> bytes:
        exif = Image.Exif()
        exif[EXIF_ORIENTATION] = orientation
        return saved(Image.fromarray(stored(rgb, orientation)), format, exif=exif, **options)

    return make


def stored(rgb: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels that a tag with this orientation turns into ``rgb``."""
    turn = ORIENTATIONS.get(RESTORED_BY.get(orientation, orientation))
    return np.ascontiguousarray(rgb if turn is None else turn(rgb))


def tiff(
    dtype: str = "u2", planar: bool = False, orientation: int = 1, compression=None, **options
) -> Maker:
    """The picture as a TIFF file with more than 8 bits."""

    def make(rgb: Picture) -> bytes:
        samples = deep(stored(rgb, orientation), dtype)
        if planar:
            options["planarconfig"] = "separate"
            samples = np.ascontiguousarray(samples.transpose(2, 0, 1))
        tags = [(274, "H", 1, orientation, True)] if orientation > 1 else []
        return tifffile_bytes(samples, compression=compression, extratags=tags, **options)

    return make


def tifffile_bytes(samples: np.ndarray, photometric: str = "rgb", **options) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, samples, photometric=photometric, **options)
    return file.getvalue()


def deep(rgb: Picture, dtype: str = "u2") -> np.ndarray:
    """The same values as other numbers."""
    if np.dtype(dtype).kind == "f":
        return (rgb / 255).astype(dtype)
    return (rgb.astype(np.float64) / 255 * np.iinfo(dtype).max).round().astype(dtype)


def inverted_grey(dtype: str, **options) -> Maker:
    """Grey in which 0 is white."""

    def make(rgb: Picture) -> bytes:
        grey = deep(grey_of(rgb)[..., 0], dtype)
        return tifffile_bytes(np.iinfo(dtype).max - grey, "miniswhite", **options)

    return make


def grey_of(rgb: Picture) -> Picture:
    return np.asarray(Image.fromarray(rgb).convert("L").convert("RGB"))


def deep_png(rgb: Picture, *chunks: tuple[bytes, bytes]) -> bytes:
    return with_chunks(cv2.imencode(".png", deep(rgb)[..., ::-1])[1].tobytes(), *chunks)


def deep_grey_with_alpha(rgb: Picture) -> bytes:
    """16-bit grey with alpha, which is PNG's color type 4."""
    grey = deep(grey_of(rgb)[..., 0])
    alpha = np.where(np.arange(grey.shape[1]) < grey.shape[1] // 2, 65535, 0).astype(np.uint16)
    samples = np.stack([grey, np.broadcast_to(alpha, grey.shape)], axis=-1)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], 16, 4, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def png(*chunks: tuple[bytes, bytes]) -> Maker:
    """The picture with further chunks before its pixels."""
    return lambda rgb: with_chunks(saved(Image.fromarray(rgb), "PNG"), *chunks)


def with_chunks(data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    return data[:33] + b"".join(chunk(*each) for each in chunks) + data[33:]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def number(value: int) -> bytes:
    return struct.pack(">I", value)


def png_with_text(size: int, **options) -> Maker:
    """The picture with a text of ``size`` bytes, compressed."""

    def make(rgb: Picture) -> bytes:
        text = PngImagePlugin.PngInfo()
        text.add_text("workflow", "n" * size, zip=True)
        return saved(Image.fromarray(rgb), "PNG", pnginfo=text)

    return make


def linear(rgb: Picture) -> np.ndarray:
    """The light of the picture, in [0, 1]."""
    value = rgb / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def linear_profile() -> bytes:
    """An ICC profile with sRGB's primaries and name, but no curves."""
    return with_curves(b"curv" + bytes(8))


def with_curves(curve: bytes) -> bytes:
    """The profile of sRGB with other curves."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for index in range(struct.unpack(">I", profile[128:132])[0]):
        entry = profile[132 + 12 * index : 144 + 12 * index]
        name, start, size = struct.unpack(">4sII", entry)
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            profile[start : start + size] = curve.ljust(size, b"\0")
    return bytes(profile)


def grey_profile(gamma: float = 2.2) -> bytes:
    """The smallest ICC profile of the color space GRAY."""
    white = struct.pack(">3i", 63190, 65536, 54061)
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    body = b"XYZ " + bytes(4) + white + curve
    first = 128 + 4 + 2 * 12
    table = struct.pack(">I4sII4sII", 2, b"wtpt", first, 20, b"kTRC", first + 20, 14)
    head = bytearray(128)
    head[0:4] = number(128 + len(table) + len(body))
    head[8:24] = bytes.fromhex("02100000") + b"mntrGRAYXYZ "
    head[36:40], head[68:80] = b"acsp", white
    return bytes(head) + table + body


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def linear_png(rgb: Picture) -> bytes:
    levels = (linear(rgb) * 255).round().astype(np.uint8)
    return saved(Image.fromarray(levels), "PNG", icc_profile=linear_profile())


def linear_deep_tiff(rgb: Picture) -> bytes:
    levels = (linear(rgb) * 65535).round().astype(np.uint16)
    return tifffile_bytes(levels, iccprofile=linear_profile())


def linear_gamma_png(rgb: Picture) -> bytes:
    levels = (linear(rgb) * 65535).round().astype(np.uint16)
    data = cv2.imencode(".png", levels[..., ::-1])[1].tobytes()
    return with_chunks(data, (b"gAMA", number(100_000)))


def perceptual_quantizer(nits: np.ndarray) -> np.ndarray:
    """Code values in [0, 1] of SMPTE ST 2084."""
    power = (nits / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hdr_png(rgb: Picture) -> bytes:
    """Grey of 100 cd/m², about half of paper white, as PQ in BT.2020."""
    code = round(float(perceptual_quantizer(np.array(100.0))) * 65535)
    samples = np.full(rgb.shape, code, np.uint16)
    return with_chunks(cv2.imencode(".png", samples)[1].tobytes(), (b"cICP", bytes([9, 16, 0, 1])))


def premultiplied(dtype: str) -> Maker:
    """A TIFF whose colors are multiplied by their alpha, 50 % everywhere."""

    def make(rgb: Picture) -> bytes:
        samples = deep(rgb, dtype)
        half = np.iinfo(dtype).max // 2
        colors = (samples.astype(np.float64) * half / np.iinfo(dtype).max).round().astype(dtype)
        alpha = np.full_like(colors[..., :1], half)
        return tifffile_bytes(np.concatenate([colors, alpha], 2), extrasamples=["assocalpha"])

    return make


def straight(dtype: str, extra: str = "unassalpha", **options) -> Maker:
    """A TIFF with a further sample of 50 %, usually alpha that isn't multiplied in."""

    def make(rgb: Picture) -> bytes:
        samples = deep(rgb, dtype)
        alpha = np.full_like(samples[..., :1], np.iinfo(dtype).max // 2)
        joined = np.concatenate([samples, alpha], 2)
        return tifffile_bytes(joined, extrasamples=[extra], **options)

    return make


def grey_with_alpha(dtype: str, photometric: str = "minisblack", **options) -> Maker:
    """Grey with an alpha of 50 % that isn't multiplied in."""

    def make(rgb: Picture) -> bytes:
        grey = deep(grey_of(rgb)[..., :1], dtype)
        most = np.iinfo(dtype).max
        grey = most - grey if photometric == "miniswhite" else grey
        joined = np.concatenate([grey, np.full_like(grey, most // 2)], axis=2)
        return tifffile_bytes(joined, photometric, extrasamples=["unassalpha"], **options)

    return make


def twelve_bits(rgb: Picture) -> bytes:
    """Grey of 12 bits, two samples in three bytes."""
    grey = deep(grey_of(rgb)[..., 0]) >> 4
    return tifffile_bytes(grey, "minisblack", bitspersample=12)


def four_bit_png(rgb: Picture) -> bytes:
    """Grey of 4 bits, whose left half is a level that stands for transparent."""
    grey = grey_of(rgb)[..., 0] >> 4
    grey = np.maximum(grey, 1)
    grey[:, : grey.shape[1] // 2] = 0
    rows = b"".join(b"\0" + bytes(row[::2] << 4 | row[1::2]) for row in grey)
    header = struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], 4, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"tRNS", b"\0\0"), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def gamma_profile(gamma: float) -> bytes:
    """An ICC profile with sRGB's primaries and name, and a power for curves."""
    return with_curves(struct.pack(">4s4xIH", b"curv", 1, round(gamma * 256)))


def dark_png(rgb: Picture) -> bytes:
    """A dark picture with a profile of gamma 2.2, which differs from sRGB in shadows alone."""
    encoded = linear(rgb // 8) ** (1 / 2.2)
    levels = (encoded * 65535).round().astype(np.uint16)
    data = cv2.imencode(".png", levels[..., ::-1])[1].tobytes()
    return with_chunks(data, (b"iCCP", b"x\0\0" + zlib.compress(gamma_profile(2.2))))


def without_middle(make: Maker, value: int, share: float) -> Maker:
    """The file with a part of its middle overwritten."""

    def made(rgb: Picture) -> bytes:
        data = bytearray(make(rgb))
        start, count = len(data) // 2, max(4, round(len(data) * share))
        data[start : start + count] = bytes([value]) * len(data[start : start + count])
        return bytes(data)

    return made


def cmyk_tiff(dtype: str, *, extra: str | None = None, planar: bool = False) -> Maker:
    """CMYK, with a further sample of 50 % of this kind."""

    def make(rgb: Picture) -> bytes:
        inks = deep(np.asarray(Image.fromarray(rgb).convert("CMYK")), dtype)
        options: dict = {}
        if extra is not None:
            further = np.full_like(inks[..., :1], np.iinfo(dtype).max // 2)
            inks = np.concatenate([inks, further], axis=2)
            options["extrasamples"] = [extra]
        if planar:
            inks, options["planarconfig"] = (
                np.ascontiguousarray(inks.transpose(2, 0, 1)),
                "separate",
            )
        return tifffile_bytes(inks, "separated", **options)

    return make


def thumbnail_first(kind: str) -> Maker:
    """Two pages, the first of which is marked as a smaller copy."""

    def make(rgb: Picture) -> bytes:
        file = io.BytesIO()
        with tifffile.TiffWriter(file) as writer:
            writer.write(rgb[::2, ::2], photometric="rgb", subfiletype=1)
            if kind == "cmyk":
                inks = np.asarray(Image.fromarray(rgb).convert("CMYK"))
                writer.write(inks, photometric="separated")
            elif kind == "palette":
                image = Image.fromarray(rgb).quantize(256)
                colors = np.zeros((256, 3), np.uint16)
                found = np.array(image.getpalette()).reshape(-1, 3)
                colors[: len(found)] = found * 257
                writer.write(np.asarray(image), photometric="palette", colormap=colors.T)
            else:
                writer.write(rgb, photometric="rgb")
        return file.getvalue()

    return make


def pages(rgb: Picture) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for page in (rgb, 255 - rgb):
            writer.write(page, photometric="rgb")
    return file.getvalue()


def camera_raw(kind: str) -> Maker:
    """The layout of a raw camera file: a small copy, and below it the sensor's values."""

    def make(rgb: Picture) -> bytes:
        file = io.BytesIO()
        tags = [(50706, "B", 4, b"\1\4\0\0", True)] if kind == "DNG" else []
        sensor = deep(rgb[..., 1])
        with tifffile.TiffWriter(file) as writer:
            writer.write(rgb[::4, ::4], photometric="rgb", subfiletype=1, subifds=1, extratags=tags)
            cfa = [(33421, "H", 2, (2, 2), True), (33422, "B", 4, b"\0\1\1\2", True)]
            photometric = "cfa" if kind == "NEF" else "minisblack"
            writer.write(sensor, photometric=photometric, extratags=cfa)
        return file.getvalue()

    return make


def animation(format: str) -> Maker:
    def make(rgb: Picture) -> bytes:
        first, *rest = (Image.fromarray(np.roll(rgb, shift, axis=1)) for shift in (0, 20, 40))
        options: dict[str, object] = {"lossless": True} if format == "WEBP" else {}
        if format == "AVIF":
            options["quality"] = 95
        return saved(first, format, save_all=True, append_images=rest, duration=100, **options)

    return make


def cut(make: Maker, missing: int | float) -> Maker:
    """The file without its last bytes, or without a share of it."""

    def made(rgb: Picture) -> bytes:
        data = make(rgb)
        return data[: -missing if isinstance(missing, int) else round(len(data) * (1 - missing))]

    return made


def with_bad_exif(format: str, exif: bytes, **options) -> Maker:
    return lambda rgb: saved(Image.fromarray(rgb), format, exif=exif, **options)
