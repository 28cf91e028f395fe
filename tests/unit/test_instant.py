"""The method instant: one pass of a feed-forward network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

import impasto
from impasto.images.color import to_oklab
from impasto.methods.feed_forward.plan import level_sizes
from impasto.networks import styles

FAST: dict[str, Any] = {"method": "instant", "precision": "float32"}


@pytest.fixture(scope="module")
def cafe() -> Image.Image:
    return Image.open(ROOT / "examples/paintings/cafe_terrace.webp").convert("RGB")


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float32) / 255


def half(photo: Image.Image, tmp_path) -> str:
    mask = Image.new("L", photo.size)
    mask.paste(255, (0, 0, photo.width // 2, photo.height))
    mask.save(tmp_path / "half.png")
    return str(tmp_path / "half.png")


def test_a_picture_has_the_photos_own_size_and_the_paintings_colours(photo_image):
    church = Image.open(ROOT / "examples/paintings/church_at_auvers.webp").convert("RGB")
    result = impasto.stylize(photo_image, church, **FAST)
    assert result.image.size == photo_image.size
    assert result.losses is None
    assert result.recipe.preset == "instant"

    def mean(image: np.ndarray) -> np.ndarray:
        return image.mean((0, 1))

    photo, painting = mean(array(photo_image)), mean(array(church))
    assert np.abs(mean(result.array) - painting).sum() < np.abs(photo - painting).sum()


def test_the_same_bytes_again(photo_image, cafe):
    first, second = (impasto.stylize(photo_image, cafe, **FAST).encode() for _ in range(2))
    assert first == second


def test_strength_goes_from_near_the_photo_to_the_style(photo_image, cafe):
    photo = array(photo_image)
    pictures = [
        impasto.stylize(photo_image, cafe, **FAST, strength=s).array for s in (0, 0.5, 1, 1.5)
    ]
    from_photo = [float(np.abs(picture - photo).mean()) for picture in pictures]
    assert from_photo == sorted(from_photo)
    assert from_photo[0] < 0.75 * from_photo[2]


def test_a_mix_of_none_is_the_photo_and_of_half_half(photo_image, cafe):
    photo = array(photo_image)
    whole, part, none = (
        impasto.stylize(photo_image, cafe, **FAST, mix=mix).array for mix in (1, 0.5, 0)
    )
    assert np.abs(none - photo).max() < 1e-6
    assert np.abs(part - (whole + photo) / 2).max() < 1e-5


def test_several_paintings_are_blended(photo_image, cafe):
    harvest = Image.open(ROOT / "examples/paintings/harvest.webp").convert("RGB")
    first, second, both = (
        impasto.stylize(photo_image, style, **FAST).array
        for style in (cafe, harvest, [(cafe, 1), (harvest, 1)])
    )
    apart = np.abs(first - second).mean()
    assert np.abs(both - first).mean() < apart
    assert np.abs(both - second).mean() < apart


def test_outside_of_the_mask_the_photo_stays_to_the_bit(photo_image, cafe, tmp_path):
    result = impasto.stylize(photo_image, cafe, **FAST, mask=half(photo_image, tmp_path), feather=0)
    right = slice(photo_image.width // 2 + 1, None)
    assert (np.asarray(result.image)[:, right] == np.asarray(photo_image)[:, right]).all()
    assert np.abs(result.array[:, :40] - array(photo_image)[:, :40]).mean() > 0.02


def test_a_region_is_painted_in_its_own_style(photo_image, cafe, tmp_path):
    region = {half(photo_image, tmp_path): "scarlet-velvet"}
    alone = impasto.stylize(photo_image, "scarlet-velvet", **FAST).array
    rest = impasto.stylize(photo_image, cafe, **FAST).array
    both = impasto.stylize(photo_image, cafe, **FAST, region=region, feather=0).array
    assert np.abs(both[:, :40] - alone[:, :40]).max() < 0.01
    assert np.abs(both[:, -40:] - rest[:, -40:]).max() < 0.01


def test_the_photos_colours_can_stay(photo_image, cafe):
    result = impasto.stylize(photo_image, cafe, **FAST, color="content")
    chroma = [
        to_oklab(impasto.read(image).rgb)[:, 1:] for image in (result.array.clip(0, 1), photo_image)
    ]
    assert (chroma[0] - chroma[1]).abs().mean() < 0.02


@pytest.mark.parametrize("color", ["match", "histogram"])
def test_a_recoloured_painting_paints_in_the_photos_colours(color, photo_image, cafe):
    plain, recolored = (
        impasto.stylize(photo_image, cafe, **FAST, color=c).array for c in ("style", color)
    )
    photo = array(photo_image).mean((0, 1))
    assert np.abs(recolored.mean((0, 1)) - photo).sum() < np.abs(plain.mean((0, 1)) - photo).sum()


def test_every_built_in_style_paints_as_its_thumbnail_shows(photo_image):
    means = []
    for name in styles.NAMES:
        painted = impasto.stylize(photo_image, name, **FAST).array.mean((0, 1))
        shown = impasto.read(styles.thumbnail(name)).rgb.mean((0, 2, 3)).numpy()
        means.append((painted, shown))
    painted, shown = (np.stack(each).ravel() for each in zip(*means, strict=True))
    assert np.corrcoef(painted, shown)[0, 1] > 0.8


def test_a_built_in_style_asks_for_the_method_that_knows_it(photo_image):
    assert impasto.stylize(photo_image, "starry-swirl").recipe.method == "instant"
    with pytest.raises(impasto.ImpastoError, match="is a style of the method instant"):
        impasto.stylize(photo_image, "starry-swirl", preset="tutorial")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"steps": 3}, "steps means nothing to the method instant"),
        ({"style": ["starry-swirl", "painting"]}, "can't be blended with a painting"),
        ({"style": "starry-swirl", "strength": 2}, "strength is at most 1"),
        ({"style": "starry-swirl", "color": "match"}, "can't be recoloured"),
        ({"style": "starry-swill"}, "nor a style of that name"),
        ({"max_memory": 0.1}, "GB of memory"),
    ],
)
def test_what_cannot_be_done_is_refused(settings, sentence, photo_image, cafe):
    style = settings.pop("style", cafe)
    style = (
        [cafe if item == "painting" else item for item in style]
        if isinstance(style, list)
        else style
    )
    with pytest.raises(impasto.ImpastoError, match=sentence):
        impasto.stylize(photo_image, style, **FAST, **settings)


def test_sizes_halve_down_to_what_the_network_knows():
    assert level_sizes(400, 600, 1.0) == [(400, 600)]
    assert level_sizes(3000, 4000, 1.0) == [(384, 512), (750, 1000), (1500, 2000), (3000, 4000)]
    assert max(level_sizes(3000, 4000, 4.0)[0]) < max(level_sizes(3000, 4000, 1.0)[0])


def test_strokes_have_the_same_proportion_at_any_size(cafe):
    """A picture painted large and made small is nearly the one that was painted small."""
    photo = Image.open(ROOT / "examples/photos/chelsea.png").convert("RGB")
    small = impasto.stylize(photo, cafe, **FAST, size=512).image
    large = impasto.stylize(photo, cafe, **FAST, size=1024).image.resize(
        small.size, Image.Resampling.BOX
    )
    blurred = [array(image.resize((64, 42), Image.Resampling.BOX)) for image in (small, large)]
    assert np.abs(blurred[0] - blurred[1]).mean() < 0.02
    assert np.corrcoef(array(small).ravel(), array(large).ravel())[0, 1] > 0.9


def test_an_optimisation_may_start_from_it(photo_image, cafe):
    settings: dict[str, Any] = {"preset": "draft", "size": 64, "steps": 1}
    fast = impasto.stylize(photo_image, cafe, **FAST, size=64)
    *_, first = [next(iter(impasto.iterate(photo_image, cafe, **settings, init="instant")))]
    assert np.abs(first.result().array - fast.array).mean() < 0.1


def test_what_was_painted_small_is_enlarged_with_painted_detail(photo_image, cafe):
    photo = photo_image.resize((384, 256))
    settings: dict[str, Any] = {"preset": "draft", "size": 384, "work_size": 128, "steps": 3}
    guided, painted = (
        impasto.stylize(photo, cafe, **settings, enlarge=how).array for how in ("guided", "instant")
    )
    assert painted.shape == guided.shape

    def small(image: np.ndarray) -> np.ndarray:
        return image[:255].reshape(85, 3, 128, 3, 3).mean((1, 3))

    def detail(image: np.ndarray) -> float:
        return float(np.abs(np.diff(image, axis=1)).mean())

    assert np.abs(small(guided) - small(painted)).mean() < 0.03, "the colours and shapes stay"
    assert detail(painted) > 1.2 * detail(guided)
