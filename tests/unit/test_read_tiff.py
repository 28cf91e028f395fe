"""TIFF and PNG files of unusual kinds: each is read as the same picture of 8 bits is."""

from __future__ import annotations

import io
import itertools
import zlib
from functools import partial

import cv2
import image_files
import numpy as np
import pytest
import tifffile
from PIL import ImageCms

import impasto
from impasto.base.errors import ImageError

LIMIT = 1 / 255
"""How far a picture in 8 bits is from the same one in 16."""


@pytest.fixture
def samples(photo_array) -> np.ndarray:
    """A photo (H, W, 3) of uint16, with a red corner that tells how it is turned."""
    array = photo_array.astype(np.uint16) * 257
    array[:8, -8:] = (65535, 0, 0)
    return array


def written(samples: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, samples, **{"photometric": "rgb", **options})
    return file.getvalue()


def read(data: bytes) -> np.ndarray:
    picture = impasto.read(data)
    return picture.rgb[0].permute(1, 2, 0).numpy()


def in_eight_bits(samples: np.ndarray, orientation: int = 1) -> np.ndarray:
    tag = [(274, "H", 1, orientation, True)]
    return read(written((samples >> 8).astype(np.uint8), extratags=tag))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "adobe_deflate"])
def test_sixteen_bits_are_read_as_eight(compression, planar, byteorder, orientation, samples):
    data = written(
        samples if planar == "contig" else samples.transpose(2, 0, 1),
        planarconfig=planar,
        compression=compression,
        byteorder=byteorder,
        extratags=[(274, "H", 1, orientation, True)],
    )
    result, expected = read(data), in_eight_bits(samples, orientation)
    assert result.shape == expected.shape
    assert np.abs(result - expected).max() <= LIMIT


@pytest.mark.parametrize(
    ("compression", "predictor"), itertools.product([None, "adobe_deflate"], [False, True])
)
def test_sixteen_bits_stay_sixteen(compression, predictor):
    ramp = np.linspace(20000, 22000, 1024).astype(np.uint16)
    image = np.broadcast_to(ramp[None, :, None], (64, 1024, 3))
    if predictor and compression is None:
        pytest.skip("a predictor belongs to a compression")
    data = written(image, compression=compression, predictor=predictor)
    assert len(np.unique(read(data))) >= 1000


@pytest.mark.parametrize("make", ["lzw", "profile", "png", "png with a profile"])
def test_sixteen_bits_stay_sixteen_in_every_decoder(make):
    ramp = np.linspace(20000, 22000, 1024).astype(np.uint16)
    image = np.repeat(np.broadcast_to(ramp[None, :, None], (64, 1024, 1)), 3, axis=2)
    profile = image_files.linear_profile()
    icc_chunk = (b"iCCP", b"x\0\0" + zlib.compress(profile))
    if make == "lzw":
        options = [cv2.IMWRITE_TIFF_COMPRESSION, 5]
        data = cv2.imencode(".tif", image, options)[1].tobytes()
    elif make == "profile":
        data = written(image, iccprofile=profile)
    else:
        data = cv2.imencode(".png", image)[1].tobytes()
        data = image_files.with_chunks(data, *([icc_chunk] if "profile" in make else []))
    assert len(np.unique(read(data))) >= 1000


def needed(side: int, height: int, width: int) -> int:
    return side


@pytest.mark.parametrize("kind", ["16-bit grey", "half floats", "LAB", "narrow"])
def test_pictures_of_every_kind_are_reduced(kind, photo_image):
    large = photo_image.resize((1200, 800))
    if kind == "16-bit grey":
        grey = np.asarray(large.convert("L")).astype(np.uint16) * 257
        grey[:300] = 65535  # white stays white, whatever is averaged
        data = cv2.imencode(".png", grey)[1].tobytes()
    elif kind == "half floats":
        data = written((np.asarray(large) / 255).astype(np.float16))
    elif kind == "LAB":
        to_lab = ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
        )
        data = image_files.saved(ImageCms.applyTransform(large, to_lab), "TIFF")
    else:
        data = image_files.saved(large.resize((3000, 33)), "PNG")
    whole = impasto.read(data)
    for side in (64, 96, 100, 180):
        small = impasto.read(data, needed_side=partial(needed, side))
        assert max(small.height, small.width) < 3 * side
        assert small.alpha is None
        assert abs(float(small.rgb.mean() - whole.rgb.mean())) < 0.01


def test_large_pictures_are_reduced_while_they_are_read(photo_image):
    """The size that is needed decides; the picture is the same as one that was read in full."""
    large = photo_image.resize((1930, 1290))
    for format, options in (("PNG", {}), ("JPEG", {"quality": 95})):
        data = image_files.saved(large, format, **options)
        whole = impasto.read(data).fitted(96, "antialias")
        small = impasto.read(data, needed_side=lambda height, width: 96)
        assert small.full_size == (1290, 1930)
        assert 192 <= small.width < 500
        assert small.fitted(96, "antialias").rgb.shape == whole.rgb.shape
        assert float((small.fitted(96, "antialias").rgb - whole.rgb).abs().mean()) < 0.004


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint32"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_other_numbers_are_read(planar, dtype, samples):
    values = samples / 65535
    values = values.astype(dtype) if dtype != "uint32" else (values * 4294967295).astype(dtype)
    values = values if planar == "contig" else values.transpose(2, 0, 1)
    result = read(written(values, planarconfig=planar))
    assert np.abs(result - in_eight_bits(samples)).max() <= LIMIT


def test_inverted_grey_is_no_negative(samples):
    grey = samples[..., 1]
    data = written(65535 - grey, photometric="miniswhite")
    assert np.abs(read(data)[..., 0] - grey / 65535).max() <= LIMIT


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_transparency_is_read_straight_and_premultiplied(kind, samples):
    alpha = np.full((*samples.shape[:2], 1), 32768, np.uint16)
    color = samples if kind == "unassalpha" else (samples / 65535 * alpha).astype(np.uint16)
    picture = impasto.read(written(np.dstack([color, alpha]), extrasamples=[kind]))
    assert abs(float(picture.alpha.mean()) - 0.5) < 1e-3
    rgb = picture.rgb[0].permute(1, 2, 0).numpy()
    assert np.abs(rgb - samples / 65535).max() <= 2 * LIMIT


def test_the_reduced_first_page_is_not_taken_for_the_picture(samples):
    small = (samples[::4, ::4] >> 8).astype(np.uint8)
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(small, photometric="rgb", subfiletype=1)
        writer.write((samples >> 8).astype(np.uint8), photometric="rgb")
    assert np.abs(read(file.getvalue()) - in_eight_bits(samples)).max() <= LIMIT


def test_a_raw_camera_file_is_recognised(samples):
    small = (samples[::4, ::4] >> 8).astype(np.uint8)
    version = [(50706, "B", 4, (1, 4, 0, 0), True)]
    with pytest.raises(ImageError, match="is a raw camera file; develop it first"):
        impasto.read(written(small, extratags=version))


@pytest.mark.parametrize("metadata", ["exif", "text"])
def test_metadata_never_refuses_pixels(metadata, photo_image):
    from PIL import PngImagePlugin

    file, text = io.BytesIO(), PngImagePlugin.PngInfo()
    text.add_text("workflow", "node " * 400_000, zip=True)
    options = {"pnginfo": text} if metadata == "text" else {"exif": b"\0\x08\0\x02\x01\x12\0\x03"}
    photo_image.save(file, "png", **options)
    assert np.array_equal(read(file.getvalue()), np.asarray(photo_image).astype("f4") / 255)


@pytest.mark.parametrize("orientation", [1, 6])
def test_an_srgb_profile_changes_nothing_about_sixteen_bits(orientation, samples):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = written(samples, iccprofile=profile, extratags=[(274, "H", 1, orientation, True)])
    expected = in_eight_bits(samples, orientation)
    assert read(data).shape == expected.shape
    assert np.abs(read(data) - expected).max() <= LIMIT
