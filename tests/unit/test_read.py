from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, features

from impasto.base.errors import ImageError
from impasto.images.read import Limits, read
from impasto.images.write import Encoding, encode


def as_bytes(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def pixels(picture) -> np.ndarray:
    """(H, W, 3) as 8-bit numbers."""
    return np.rint(picture.rgb[0].permute(1, 2, 0).numpy() * 255).astype(int)


def test_every_kind_of_source_gives_the_same_pixels(photo, photo_image, photo_array):
    expected = photo_array.astype(np.float32) / 255
    sources = [
        photo,
        str(photo),
        photo.read_bytes(),
        bytearray(photo.read_bytes()),
        photo_image,
        photo_array,
        photo_array.astype(np.uint16) * 257,
        expected,
        expected.astype(np.float64),
        torch.from_numpy(expected).permute(2, 0, 1),
        torch.from_numpy(expected).permute(2, 0, 1)[None],
        torch.from_numpy(photo_array.copy()).permute(2, 0, 1),
    ]
    for source in sources:
        rgb = read(source).rgb
        assert rgb.shape == (1, 3, 64, 96)
        assert rgb.dtype == torch.float32
        np.testing.assert_allclose(rgb[0].permute(1, 2, 0).numpy(), expected, atol=1e-7)


def test_standard_input(photo, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(photo.read_bytes())))
    assert torch.equal(read("-").rgb, read(photo).rgb)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "GIF"])
def test_lossless_types_are_told_from_the_bytes(format, photo_image, photo_array, tmp_path):
    image = photo_image.quantize(256) if format == "GIF" else photo_image
    path = tmp_path / "wrong-extension.jpg"
    path.write_bytes(as_bytes(image, format))
    np.testing.assert_array_equal(pixels(read(path)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF"])
def test_lossy_types(format, photo_image, photo_array):
    if format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    difference = pixels(read(as_bytes(photo_image, format, quality=95))) - photo_array
    assert np.abs(difference).mean() < 5


def test_heic_with_its_plug_in(photo_image, photo_array):
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif isn't installed")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(photo_image).save(buffer, quality=95)
    assert np.abs(pixels(read(buffer.getvalue())) - photo_array).mean() < 5


def test_gif_gives_its_first_frame():
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    data = as_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pixels(read(data))[0, 0].tolist() == [255, 0, 0]


def test_grey_palette_and_cmyk_become_rgb(photo_image, photo_array):
    grey = photo_image.convert("L")
    np.testing.assert_array_equal(pixels(read(as_bytes(grey, "PNG")))[..., 0], np.asarray(grey))
    palette = photo_image.quantize(64)
    np.testing.assert_array_equal(
        pixels(read(as_bytes(palette, "PNG"))), np.asarray(palette.convert("RGB"))
    )
    one_bit = photo_image.convert("1")
    assert set(np.unique(pixels(read(as_bytes(one_bit, "PNG"))))) == {0, 255}
    cmyk = read(as_bytes(photo_image.convert("CMYK"), "JPEG", quality=95))
    assert np.abs(pixels(cmyk) - photo_array).mean() < 8


def test_sixteen_bit_grey_png_keeps_its_depth():
    values = np.linspace(0, 65535, 40 * 40).reshape(40, 40).astype(np.uint16)
    rgb = read(as_bytes(Image.fromarray(values), "PNG")).rgb
    np.testing.assert_allclose(rgb[0, 1].numpy(), values / 65535, atol=1e-7)


@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_colour_png_keeps_its_depth(channels):
    samples = np.random.default_rng(0).integers(1, 65536, (40, 33, channels)).astype(np.uint16)
    picture = read(encode(samples / 65535, Encoding("png", 16)))
    read_back = picture.rgb if channels == 3 else torch.cat([picture.rgb, picture.alpha], 1)
    np.testing.assert_array_equal(
        np.rint(read_back[0].permute(1, 2, 0).numpy() * 65535).astype(np.uint16), samples
    )


@pytest.mark.parametrize("order", [">", "<"])
def test_sixteen_bit_colour_tiff_keeps_its_depth(order):
    samples = np.random.default_rng(1).integers(0, 65536, (40, 33, 3)).astype(np.uint16)
    data = tiff_16_bit(samples, order)
    read_back = np.rint(read(data).rgb[0].permute(1, 2, 0).numpy() * 65535)
    np.testing.assert_array_equal(read_back.astype(np.uint16), samples)


def tiff_16_bit(samples: np.ndarray, order: str) -> bytes:
    """A minimal uncompressed TIFF; Pillow can't write 16-bit colour."""
    height, width, channels = samples.shape
    body = samples.astype(f"{order}u2").tobytes()
    entries = {
        256: (4, 1, width),
        257: (4, 1, height),
        258: (3, 3, 8 + len(body)),  # bits per sample, kept behind the pixels
        259: (3, 1, 1),
        262: (3, 1, 2),
        273: (4, 1, 8),
        277: (3, 1, channels),
        278: (4, 1, height),
        279: (4, 1, len(body)),
    }
    directory = struct.pack(f"{order}H", len(entries))
    for tag, (kind, count, value) in entries.items():
        form = "HH" if kind == 3 and count == 1 else "I"
        packed = struct.pack(order + form, *([value, 0] if form == "HH" else [value]))
        directory += struct.pack(f"{order}HHI", tag, kind, count) + packed
    offset = 8 + len(body) + 6
    head = (b"MM" if order == ">" else b"II") + struct.pack(f"{order}HI", 42, offset)
    bits = struct.pack(f"{order}3H", 16, 16, 16)
    return head + body + bits + directory + struct.pack(f"{order}I", 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation, photo_image):
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = photo_image
    for turn in {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_270],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_90],
    }.get(orientation, []):
        shown = shown.transpose(turn)
    data = as_bytes(photo_image, "PNG", exif=exif)
    np.testing.assert_array_equal(pixels(read(data)), np.asarray(shown))
    # Sixteen-bit pictures go another way; they must come out the same way up.
    deep = encode(np.asarray(photo_image) / 255, Encoding("png", 16))
    eight_bit_exif = data[data.index(b"eXIf") - 4 :]
    length = struct.unpack(">I", eight_bit_exif[:4])[0] + 12
    with_exif = deep[:33] + eight_bit_exif[:length] + deep[33:]
    np.testing.assert_array_equal(pixels(read(with_exif)), np.asarray(shown))


def test_embedded_profile_is_converted_to_srgb(photo_image):
    lab = ImageCms.createProfile("LAB")
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB")
    in_lab = ImageCms.applyTransform(photo_image, to_lab)
    data = as_bytes(in_lab, "TIFF", icc_profile=ImageCms.ImageCmsProfile(lab).tobytes())
    difference = np.abs(pixels(read(data)) - np.asarray(photo_image))
    assert difference.mean() < 3


def test_profile_with_swapped_primaries_swaps_colours(photo_image, photo_array):
    """A profile whose red and blue primaries are exchanged: sRGB red means blue there."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", profile[128:132])[0]
    for index in range(count):
        at = 132 + 12 * index
        tag = bytes(profile[at : at + 4])
        if tag in (b"rXYZ", b"bXYZ"):
            profile[at : at + 4] = b"bXYZ" if tag == b"rXYZ" else b"rXYZ"
        if tag == b"desc":  # or it would be taken for sRGB by its name
            offset, size = struct.unpack(">II", profile[at + 4 : at + 12])
            text = bytes(profile[offset : offset + size])
            profile[offset : offset + size] = text.replace(b"s\0R\0G\0B", b"s\0w\0a\0p").replace(
                b"\0s\0R", b"\0x\0R"
            )
    data = as_bytes(photo_image, "PNG", icc_profile=bytes(profile))
    swapped = pixels(read(data))
    assert np.abs(swapped - photo_array[:, :, ::-1]).mean() < 3


def test_floating_point_pictures_are_read_in_unit_range_only():
    values = np.linspace(0, 1, 40 * 40, dtype=np.float32).reshape(40, 40)
    rgb = read(as_bytes(Image.fromarray(values), "TIFF")).rgb
    np.testing.assert_allclose(rgb[0, 0].numpy(), values)
    for wrong in (values * 1.2, values * 255, values - 0.5):
        with pytest.raises(ImageError, match="between 0 and 1"):
            read(as_bytes(Image.fromarray(wrong), "TIFF"))


def test_sixteen_bit_grey_with_one_transparent_value():
    values = np.full((40, 40), 1000, np.uint16)
    values[:20] = 40000
    data = as_bytes(Image.fromarray(values), "PNG", transparency=1000)
    picture = read(data)
    assert picture.alpha[0, 0, 0, 0] == 1
    assert picture.alpha[0, 0, -1, 0] == 0


def test_broken_profile_is_ignored(photo_image, photo_array):
    data = as_bytes(photo_image, "PNG", icc_profile=b"not a profile")
    np.testing.assert_array_equal(pixels(read(data)), photo_array)


def test_alpha_is_kept_aside_and_hidden_colours_are_calmed(photo_image, photo_array):
    alpha = np.full((64, 96), 255, np.uint8)
    alpha[:, :48] = 0
    alpha[:8, 48:] = 128
    data = as_bytes(Image.fromarray(np.dstack([photo_array, alpha])), "PNG")
    picture = read(data)
    np.testing.assert_allclose(picture.alpha[0, 0].numpy(), alpha / 255, atol=1e-6)
    np.testing.assert_array_equal(pixels(picture)[:, 48:], photo_array[:, 48:])
    assert len(np.unique(pixels(picture)[:, :48].reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize("mode", ["LA", "PA", "transparent palette"])
def test_other_kinds_of_transparency(mode, photo_image):
    if mode == "LA":
        image = photo_image.convert("L")
        image.putalpha(100)
        data = as_bytes(image, "PNG")
    elif mode == "PA":
        image = photo_image.convert("RGBA")
        image.putalpha(100)
        data = as_bytes(image, "WEBP", lossless=True)
    else:
        data = as_bytes(photo_image.quantize(16), "PNG", transparency=0)
    assert read(data).alpha is not None


def test_opaque_alpha_is_no_alpha(photo_image):
    assert read(as_bytes(photo_image.convert("RGBA"), "PNG")).alpha is None


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (b"", "damaged|isn't an image"),
        (b"just some text", "isn't an image of a known type"),
        (np.zeros((40, 40, 2), np.uint8), "shape"),
        (np.zeros((40, 40, 3), np.int64), "int64"),
        (np.full((40, 40, 3), 2.0), "between 0 and 1"),
        (np.full((40, 40, 3), np.nan), "between 0 and 1"),
        (torch.zeros(2, 3, 40, 40), "shape"),
        (Image.new("RGB", (31, 40)), "31×40 px; both sides need at least 32"),
        (np.zeros((1, 1, 3), np.uint8), "1×1 px"),
        (42, "int isn't a type of image"),
        (torch.zeros(3, 40, 40).to_sparse(), "isn't an image"),
    ],
)
def test_what_is_not_an_image_is_refused(source, sentence):
    with pytest.raises(ImageError, match=sentence):
        read(source)


def test_every_way_of_cutting_a_file_short_is_refused(photo_image):
    for format in ("JPEG", "PNG", "WEBP", "TIFF", "BMP"):
        data = as_bytes(photo_image, format)
        for length in (9, 30, len(data) // 2):
            with pytest.raises(ImageError):
                read(data[:length])


def test_no_damage_gets_past(photo_image):
    """Bytes changed at random: read all the same, or refused; never another exception."""
    random = np.random.default_rng(0)
    refused = 0
    for format in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        intact = as_bytes(photo_image, format)
        for _ in range(25):
            damaged = bytearray(intact)
            for _ in range(random.integers(1, 12)):
                damaged[random.integers(len(damaged))] = random.integers(256)
            try:
                rgb = read(bytes(damaged)).rgb
                assert 0 <= rgb.min() <= rgb.max() <= 1
            except ImageError:
                refused += 1
    assert refused > 10


def test_grey_profiles_are_converted_in_every_grey_mode():
    """Linear grey: half the light is 188 of 255 in sRGB."""
    profile = linear_grey_profile()
    grey = Image.new("L", (40, 40), 128)
    deep = Image.fromarray(np.full((40, 40), 32896, np.uint16))
    see_through = grey.copy()
    see_through.putalpha(100)
    for image in (grey, deep, see_through, grey.convert("P")):
        picture = read(as_bytes(image, "PNG", icc_profile=profile))
        assert pixels(picture)[0, 0].tolist() == pytest.approx([188, 188, 188], abs=1), image.mode


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_grey_profile_of_a_coloured_picture_is_ignored(mode, photo_image):
    image = photo_image.convert(mode)
    data = as_bytes(image, "PNG", icc_profile=linear_grey_profile())
    assert torch.equal(read(data).rgb, read(as_bytes(image, "PNG")).rgb)


def test_a_profile_is_srgb_by_its_curves_and_not_by_its_name(photo_image, photo_array):
    linear = np.where(
        photo_array <= 10, photo_array / 255 / 12.92, ((photo_array / 255 + 0.055) / 1.055) ** 2.4
    )
    image = Image.fromarray((linear * 255).round().astype(np.uint8))
    data = as_bytes(image, "PNG", icc_profile=linear_srgb_profile())
    difference = read(data).rgb[0].permute(1, 2, 0).numpy() - photo_array / 255
    assert abs(difference.mean()) < 3 / 255


def linear_srgb_profile() -> bytes:
    """LittleCMS' own sRGB profile, whose name begins with sRGB, with straight lines for curves."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for number in range(struct.unpack(">I", profile[128:132])[0]):
        entry = profile[132 + 12 * number : 144 + 12 * number]
        tag, position, size = struct.unpack(">4sII", entry)
        if tag in (b"rTRC", b"gTRC", b"bTRC"):
            profile[position : position + size] = (b"curv" + bytes(8)).ljust(size, b"\0")
    return bytes(profile)


def linear_grey_profile() -> bytes:
    """A minimal ICC version 2 profile: grey, linear."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    curve = b"curv\0\0\0\0" + struct.pack(">I", 0)
    tags, body, offset = b"", b"", 128 + 4 + 2 * 12
    for name, data in ((b"wtpt", white), (b"kTRC", curve)):
        tags += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    length = offset + len(body)
    header = struct.pack(">I4sI4s4s4s", length, b"none", 0x02100000, b"mntr", b"GRAY", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I", 2) + tags + body


def test_limits_come_before_decoding(photo):
    with pytest.raises(ImageError, match="larger than 0.001 MB"):
        read(photo, limits=Limits(max_megabytes=0.001))
    with pytest.raises(ImageError, match="96×64 px; the limit is 0.001 megapixels"):
        read(photo, limits=Limits(max_megapixels=0.001))
