from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

import impasto


@pytest.fixture(scope="module")
def paint(painting_image) -> impasto.Stylizer:
    return impasto.Stylizer(painting_image)


def test_it_does_what_stylize_does(paint, photo_image, painting_image):
    whole = impasto.stylize(photo_image, painting_image, method="instant")
    assert (np.asarray(paint(photo_image)) == np.asarray(whole.image)).all()


def test_type_in_is_type_out(paint, photo_image, photo):
    pixels = np.array(photo_image)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    wanted = np.asarray(paint(photo_image))
    assert isinstance(paint(photo_image), Image.Image)
    assert isinstance(paint(photo), Image.Image)
    assert isinstance(paint(photo.read_bytes()), Image.Image)
    assert paint(pixels).dtype == np.uint8
    assert (paint(pixels) == wanted).all()
    assert paint(tensor > 128).dtype == torch.uint8, "black and white become grey levels"
    opaque = np.dstack([pixels, np.full_like(pixels[..., :1], 255)])
    faint = np.dstack([pixels, np.full_like(pixels[..., :1], 9)])
    assert paint(np.stack([opaque, faint])).shape == (2, *pixels.shape[:2], 4)
    deep = paint(pixels.astype(np.uint16) * 257)
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257 - wanted).max() <= 0.51
    real = paint(pixels.astype(np.float32) / 255)
    assert real.dtype == np.float32
    assert np.abs(real - wanted / 255).max() < 1 / 255
    assert (paint(tensor).permute(1, 2, 0).numpy() == wanted).all()
    assert paint(tensor[None].half() / 255).dtype == torch.float16
    assert paint(np.dstack([pixels, pixels[..., :1]])).shape == (*pixels.shape[:2], 4)


def test_several_at_once(paint, photo_image):
    pixels = np.array(photo_image)
    one = paint(pixels)
    assert (paint(np.stack([pixels, pixels])) == one).all()
    tensors = torch.from_numpy(np.stack([pixels, pixels])).permute(0, 3, 1, 2)
    assert (paint(tensors).permute(0, 2, 3, 1).numpy() == one).all()
    assert [image.size for image in paint([photo_image, photo_image.resize((48, 64))])] == [
        (96, 64), (48, 64),
    ]  # fmt: skip


def test_none_at_once(paint):
    assert paint([]) == []
    assert paint(np.zeros((0, 64, 96, 3), np.uint8)).shape == (0, 64, 96, 3)
    assert paint(torch.zeros(0, 3, 64, 96)).shape == (0, 3, 64, 96)


def test_it_can_be_pickled_and_called_from_threads(paint, photo_image):
    wanted = np.asarray(paint(photo_image))
    assert (np.asarray(pickle.loads(pickle.dumps(paint))(photo_image)) == wanted).all()
    with ThreadPoolExecutor(4) as pool:
        for picture in pool.map(paint, [photo_image] * 8):
            assert (np.asarray(picture) == wanted).all()


def test_settings_that_depend_on_the_photo(photo_image, painting_image, tmp_path):
    mask = Image.new("L", (10, 10), 255)
    mask.paste(0, (5, 0, 10, 10))
    mask.save(tmp_path / "mask.png")
    for settings in ({"color": "match"}, {"strength": 0.5}, {"mask": tmp_path / "mask.png"}):
        whole = impasto.stylize(photo_image, painting_image, method="instant", **settings)
        again = impasto.Stylizer(painting_image, **settings)(photo_image)
        assert (np.asarray(again) == np.asarray(whole.image)).all()


def test_any_method_and_built_in_styles(photo_image, painting_image):
    assert impasto.Stylizer("teal-linocut")(photo_image).size == photo_image.size
    draft = impasto.Stylizer(painting_image, preset="draft", size=64, steps=2)
    assert draft(photo_image).size == (64, 43)


def test_bad_styles_are_refused_when_it_is_made():
    with pytest.raises(impasto.ImpastoError, match="no such file"):
        impasto.Stylizer("missing.jpg")
