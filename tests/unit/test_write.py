from __future__ import annotations

import io
import tracemalloc
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

import impasto
from impasto.base.errors import OutputError, RecipeError
from impasto.images import metadata
from impasto.images.write import Encoding, encode, format_for, quantize, srgb_profile, write

NOTE = {"recipe": {"size": 64, "preset": "größer"}}


@pytest.fixture
def picture():
    return np.random.default_rng(0).random((40, 52, 3))


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_lossless_formats_keep_every_pixel(format, picture):
    image = Image.open(io.BytesIO(encode(picture, Encoding(format))))
    np.testing.assert_array_equal(np.asarray(image), quantize(picture, 8))


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_lossy_formats_come_close(format):
    smooth = np.dstack([np.linspace(0, 1, 64)[None].repeat(64, 0)] * 3)
    image = Image.open(io.BytesIO(encode(smooth, Encoding(format))))
    assert image.format.lower() == format
    assert np.abs(np.asarray(image) / 255 - smooth).mean() < 0.01


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
def test_every_format_says_srgb_and_carries_the_recipe(format, picture, tmp_path):
    path = tmp_path / "picture"
    path.write_bytes(encode(picture, Encoding(format, note=NOTE)))
    profile = Image.open(path).info["icc_profile"]
    described = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    assert "sRGB" in described
    assert metadata.read_note(path)["recipe"] == NOTE["recipe"]


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
def test_metadata_can_be_left_out(format, picture, tmp_path):
    path = tmp_path / "picture"
    path.write_bytes(encode(picture, Encoding(format)))
    with pytest.raises(RecipeError, match="holds no recipe"):
        metadata.read_note(path)


def test_sixteen_bit_png(picture, tmp_path):
    data = encode(picture, Encoding("png", 16, NOTE))
    path = tmp_path / "deep.png"
    path.write_bytes(data)
    image = Image.open(path)
    np.testing.assert_array_equal(np.asarray(image), quantize(picture, 16) >> 8)
    assert image.info["icc_profile"] == srgb_profile()
    assert metadata.read_note(path)["recipe"] == NOTE["recipe"]


def test_sixteen_bit_tiff(picture, tmp_path):
    path = tmp_path / "deep.tif"
    path.write_bytes(encode(picture, Encoding("tiff", 16, NOTE, dpi=300)))
    np.testing.assert_array_equal(tifffile.imread(path), quantize(picture, 16))
    assert metadata.read_note(path)["recipe"] == NOTE["recipe"]
    assert Image.open(path).info["dpi"] == (300, 300)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 70001, 3), (900, 1111, 4), (2500, 1000, 3)])
def test_png_of_several_bands(bits, shape):
    """Smooth, noisy and plain areas: every filter of a row is chosen somewhere."""
    height, width, channels = shape
    generator = np.random.default_rng(1)
    plane = np.linspace(0, 1, height)[:, None, None] * np.linspace(0.3, 1, width)[None, :, None]
    pixels = np.repeat(plane, channels, 2).astype(np.float32)
    pixels[height // 3 : height // 2] = generator.random((1, width, channels))
    pixels[height // 2 : height * 2 // 3] = generator.random((height, 1, channels))[
        height // 2 : height * 2 // 3
    ]
    data = encode(pixels, Encoding("png", bits))
    expected = quantize(pixels, bits)
    image = Image.open(io.BytesIO(data))  # Pillow reads the upper 8 bits
    np.testing.assert_array_equal(np.asarray(image), expected >> (bits - 8))
    if channels == 3 and height >= 32:
        read = impasto.read(data).rgb[0].permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(quantize(read, bits), expected)


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_a_picture_is_written_without_a_second_copy(format, tmp_path):
    """Python's own blocks, numpy's among them; 12 MP in float are 144 MB."""
    pixels = np.zeros((3000, 4000, 3), np.float32)
    tracemalloc.start()
    with (tmp_path / "picture").open("wb") as file:
        write(file, pixels, Encoding(format))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6


def test_tiff_is_tiled(picture):
    image: Any = Image.open(io.BytesIO(encode(picture, Encoding("tiff"))))
    assert image.tag_v2[322] == image.tag_v2[323] == 256


def test_transparency_is_kept_in_tiff():
    pixels = np.random.default_rng(0).random((300, 40, 4))
    image = Image.open(io.BytesIO(encode(pixels, Encoding("tiff"))))
    assert image.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(image), quantize(pixels, 8))


def test_sixteen_bits_need_png_or_tiff():
    with pytest.raises(OutputError, match="16 bits per channel need PNG or TIFF, not JPEG"):
        Encoding("jpeg", 16)


def test_transparency_becomes_white_in_jpeg():
    clear = np.zeros((40, 40, 4))
    assert np.asarray(Image.open(io.BytesIO(encode(clear, Encoding("jpeg"))))).min() > 250
    assert Image.open(io.BytesIO(encode(clear, Encoding("png")))).mode == "RGBA"


def test_the_same_pixels_give_the_same_bytes(picture):
    srgb_profile.cache_clear()
    first = encode(picture, Encoding("png", note=NOTE))
    srgb_profile.cache_clear()
    assert encode(picture, Encoding("png", note=NOTE)) == first


def test_values_are_rounded_to_nearest():
    assert quantize(np.array([0, 0.4 / 255, 0.6 / 255, 1, 2.0, -1]), 8).tolist() == [
        0, 0, 1, 255, 255, 0,
    ]  # fmt: skip


def test_formats_are_told_from_the_name(tmp_path):
    assert format_for(tmp_path / "a.JPG") == "jpeg"
    with pytest.raises(OutputError, match=r"no output format '\.pgn'; did you mean '\.png'"):
        format_for(tmp_path / "a.pgn")
    with pytest.raises(OutputError, match="has no extension"):
        format_for(tmp_path / "a")
