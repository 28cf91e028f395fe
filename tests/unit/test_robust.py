"""Pictures as they come, with the default preset: flat, drawn, tiny, long, transparent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

import impasto

QUICK: dict[str, Any] = {"size": 64, "steps": 2}


def flat(level: int) -> Image.Image:
    return Image.new("RGB", (64, 48), (level,) * 3)


def line_drawing() -> Image.Image:
    image = Image.new("1", (64, 48), 1)
    draw = ImageDraw.Draw(image)
    draw.ellipse((10, 6, 50, 42), outline=0)
    draw.line((0, 47, 63, 0), fill=0)
    return image


def text() -> Image.Image:
    image = Image.new("RGB", (96, 64), "white")
    ImageDraw.Draw(image).multiline_text((4, 4), "impasto\nphoto.jpg\n--size 96", fill="black")
    return image


def logo() -> Image.Image:
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    ImageDraw.Draw(image).ellipse((8, 8, 56, 56), fill=(220, 30, 40, 255))
    return image


PHOTOS = {
    "flat grey": (lambda photo: flat(128), {}),
    "black": (lambda photo: flat(0), {}),
    "white": (lambda photo: flat(255), {}),
    "line drawing": (lambda photo: line_drawing(), {"steps": 40}),
    "text": (lambda photo: text(), {"size": 96}),
    "tiny": (lambda photo: photo.resize((32, 32)), {"size": 32}),
    "enlarged": (lambda photo: photo.resize((32, 32)), {"size": 96}),
    "panorama": (lambda photo: photo.resize((330, 33)), {"size": 320}),
    "transparent logo": (lambda photo: logo(), {}),
}
PAINTINGS = {
    "monochrome": lambda painting: painting.convert("L"),
    "flat grey": lambda painting: flat(128),
    "black": lambda painting: flat(0),
    "white": lambda painting: flat(255),
    "transparent logo": lambda painting: logo(),
    "tiny": lambda painting: painting.resize((32, 32)),
    "panorama": lambda painting: painting.resize((330, 33)),
}


def check_sane(result: impasto.Result) -> None:
    """In range, of the photo's shape, and a picture wherever the photo is one."""
    assert np.isfinite(result.array).all()
    assert result.array.min() >= 0
    assert result.array.max() <= 1
    assert result.losses.last["total"] <= result.losses.first["total"]
    seen = result.job.content.rgb[0].mean(0).numpy()
    painted = result.array[..., :3].mean(2)
    if seen.std() > 0.02:
        assert painted.std() > 0.25 * seen.std()
        assert np.corrcoef(edges(seen), edges(painted))[0, 1] > 0.12


def edges(image: np.ndarray) -> np.ndarray:
    """How steep (H, W) is: a line is one whether it is dark on light or light on dark."""
    return np.hypot(*np.gradient(image)).ravel()


@pytest.mark.parametrize("name", PHOTOS)
def test_photos_of_every_kind(name, photo_image, painting_image):
    make, settings = PHOTOS[name]
    photo = make(photo_image)
    result = impasto.stylize(photo, painting_image, **{**QUICK, **settings})
    check_sane(result)
    assert result.image.mode == ("RGBA" if photo.mode == "RGBA" else "RGB")


@pytest.mark.parametrize("name", PAINTINGS)
def test_paintings_of_every_kind(name, photo_image, painting_image):
    result = impasto.stylize(photo_image, PAINTINGS[name](painting_image), **QUICK)
    check_sane(result)


def test_a_photo_painted_with_itself_stays_what_it_is(photo_image):
    result = impasto.stylize(photo_image, photo_image, **QUICK)
    check_sane(result)
    job = impasto.prepare(photo_image, photo_image, **QUICK)
    photo = job.content.rgb[0].permute(1, 2, 0).numpy()
    assert np.abs(result.array - photo).mean() < 0.04


@pytest.mark.parametrize("color", ["content", "match", "histogram"])
def test_flat_pictures_have_colours_too(color, photo_image):
    for photo, painting in ((flat(0), photo_image), (photo_image, flat(128))):
        result = impasto.stylize(photo, painting, **QUICK, color=color)
        check_sane(result)


@pytest.mark.parametrize("style_loss", ["gram", "moments", "swd", "nearest"])
def test_every_loss_bears_flat_pictures(style_loss, photo_image):
    for photo, painting in ((flat(0), photo_image), (photo_image, flat(0))):
        settings: dict[str, Any] = {"style_loss": style_loss, "content_loss": "self-similarity"}
        result = impasto.stylize(photo, painting, **QUICK, **settings)
        check_sane(result)


@pytest.mark.parametrize("balance", ["weights", "gradient"])
def test_balance_bears_a_style_that_is_there_already(balance, photo_image):
    check_sane(impasto.stylize(flat(128), flat(128), **QUICK, balance=balance))


def mask(box, size=(60, 40)) -> Image.Image:
    image = Image.new("L", size)
    image.paste(255, box)
    return image


MASKS = {
    "tall": mask((0, 0, 10, 100), (20, 100)),
    "one pixel": mask((200, 200, 201, 201), (400, 300)),
    "hardly there": Image.new("L", (60, 40), 1),
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("kind", ["mask", "region", "style_mask"])
def test_masks_of_every_kind(kind, name, photo_image, painting_image, painting, tmp_path):
    path = tmp_path / "mask.png"
    MASKS[name].save(path)
    value = {str(path): str(painting)} if kind == "region" else str(path)
    settings: dict[str, Any] = {kind: value}
    result = impasto.stylize(photo_image, painting_image, **QUICK, **settings)
    check_sane(result)
