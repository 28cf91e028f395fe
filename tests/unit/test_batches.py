"""Batches as a GPU paints them, here on the CPU: the same code, and the same pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from impasto.images.color import keep_colors
from impasto.images.limits import Limits
from impasto.images.read import read_batch
from impasto.images.transfer import as_bytes
from impasto.images.write import quantize
from impasto.methods.feed_forward import batches
from impasto.methods.feed_forward.batches import BatchPainter
from impasto.methods.feed_forward.brushes import Brush
from impasto.methods.feed_forward.loaded import LoadedBrushes
from impasto.methods.feed_forward.plan import batch_size
from impasto.networks.kernels.graph import FunctionGraph
from impasto.settings.recipe import Recipe

SETTINGS = [{}, {"color": "content", "mix": 0.7}, {"size": 64}, {"statistics": "thumbnail"}]
MAX_DIFFERENCE = 1
"""Largest difference between a picture of a batch and the same one by itself, of 255: its sums are
in another order, and a value next to the middle of two levels is rounded to the other one."""


def stylizer(painting_image, **settings) -> impasto.Stylizer:
    """A stylizer that paints batches on the CPU."""
    paint = impasto.Stylizer(painting_image, precision="float32", **settings)
    paint.loaded.batches = BatchPainter(paint.template, brushes_of(paint))
    return paint


def brushes_of(paint: impasto.Stylizer) -> list[Brush]:
    """The brushes that a stylizer has loaded."""
    assert isinstance(paint.loaded, LoadedBrushes)
    return paint.loaded.brushes


def painter_of(paint: impasto.Stylizer) -> BatchPainter:
    """What paints the batches of a stylizer."""
    assert isinstance(paint.batches, BatchPainter)
    return paint.batches


@pytest.fixture
def pixels(photo_image) -> np.ndarray:
    """Three different pictures, (3, 64, 96, 3)."""
    photo = np.asarray(photo_image)
    return np.stack([photo, photo[:, ::-1], photo // 3])


@pytest.fixture
def in_twos(monkeypatch):
    monkeypatch.setattr(batches, "batch_size", lambda *_: 2)


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_picture_by_itself_has_the_same_bytes(settings, pixels, painting_image):
    wanted = impasto.Stylizer(painting_image, precision="float32", **settings)
    paint = stylizer(painting_image, **settings)
    faded = np.dstack([pixels[0], np.tile(np.arange(96, dtype=np.uint8), (64, 1))])
    for image in (pixels[0], pixels[0, ..., :1], faded, faded[..., 3], faded > 90, faded / 255.0):
        assert (paint(image) == wanted(image)).all()
    deep = pixels[0].astype(np.uint16) * 257
    assert (paint(deep) == wanted(deep)).all()
    assert (np.asarray(paint(Image.fromarray(pixels[0]))) == wanted(pixels[0])).all()


@pytest.mark.parametrize("settings", SETTINGS)
def test_pictures_of_a_batch_are_as_by_themselves(settings, pixels, painting_image, monkeypatch):
    monkeypatch.setattr(batches, "batch_size", lambda *_: 8)
    paint = stylizer(painting_image, **settings)
    shade = np.broadcast_to(np.arange(96, dtype=np.uint8)[:, None], (3, 64, 96, 1))
    for images in (pixels, np.concatenate([pixels, shade], axis=3), pixels / np.float32(255)):
        together = paint(images)
        alone = np.stack([paint(image) for image in images])
        assert together.dtype == alone.dtype
        assert together.shape == alone.shape
        scale = 1 if images.dtype == np.uint8 else 255
        assert np.abs(together.astype(float) - alone).max() * scale <= MAX_DIFFERENCE


def test_large_batches_are_split(pixels, painting_image, in_twos):
    paint = stylizer(painting_image)
    tensors = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    alone = np.stack([paint(image) for image in pixels])
    assert np.abs(paint(pixels).astype(int) - alone).max() <= MAX_DIFFERENCE
    together = paint(tensors)
    assert together.dtype == torch.uint8
    assert np.abs(together.permute(0, 2, 3, 1).numpy().astype(int) - alone).max() <= MAX_DIFFERENCE


def test_neighbours_of_a_list_become_batches(pixels, painting_image, monkeypatch):
    paint = stylizer(painting_image)
    sizes = []
    whole = paint.batches.paint

    def counted(images):
        sizes.append(len(images))
        return whole(images)

    monkeypatch.setattr(paint.batches, "paint", counted)
    image = Image.fromarray(pixels[0])
    tensor = torch.from_numpy(pixels[0]).permute(2, 0, 1)
    small = image.resize((48, 40))
    mixed: Any = [image, image, small, pixels[0], pixels[1], tensor, tensor, tensor]
    painted = paint(mixed)
    assert sizes == [2, 1, 2, 3]
    assert [type(each) for each in painted[:5:2]] == [Image.Image, Image.Image, np.ndarray]
    assert [each.size for each in painted[:3]] == [(96, 64), (96, 64), (48, 40)]
    assert painted[5].shape == tensor.shape


def test_what_is_no_batch_is_read_as_ever(pixels, painting_image, photo):
    paint = stylizer(painting_image)
    takes = paint.batches.takes
    assert takes(pixels)
    assert not takes(pixels[:0])
    assert not takes(pixels[:, :20])
    assert not takes(pixels[0])
    assert not takes(torch.zeros(1, 3, 64, 96, dtype=torch.int64))
    limits = Limits(max_megapixels=0.001)
    assert not BatchPainter(paint.template, brushes_of(paint), limits).takes(pixels)
    assert paint([photo, str(photo)])[1].size == (96, 64)
    for bad in (pixels * 2.0, torch.full((1, 3, 64, 96), torch.nan)):
        with pytest.raises(impasto.ImpastoError, match="between 0 and 1"):
            paint(bad)
    for bad in (pixels.astype(np.int64), torch.zeros(1, 3, 64, 96, dtype=torch.int64)):
        with pytest.raises(impasto.ImpastoError, match="isn't understood"):
            paint(bad)


def test_a_batch_fits_into_the_memory(monkeypatch):
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    monkeypatch.setattr("impasto.runs.plan.memory_available_mb", lambda _: 80_000)
    assert batch_size(Recipe(), gpu, 1080, 1920) == 8
    assert batch_size(Recipe(), cpu, 1080, 1920) == 1
    assert batch_size(Recipe(), gpu, 3000, 4000) == 1, "in bands"
    some = batch_size(Recipe(max_memory=1.5), gpu, 1080, 1920)
    assert 1 < some < 8
    with pytest.raises(impasto.ImpastoError, match="of memory"):
        batch_size(Recipe(max_memory=0.5), gpu, 1080, 1920)


@pytest.fixture
def graphs_everywhere(monkeypatch):
    """On a CPU a graph calls its function."""
    monkeypatch.setattr(batches, "uses_graphs", lambda pixels: True)


def test_small_batches_have_graphs_the_latest_few(painting_image, graphs_everywhere, monkeypatch):
    painter = painter_of(stylizer(painting_image))
    monkeypatch.setattr(batches, "MAX_GRAPHS", 2)
    for size in (40, 48, 40, 56):
        image = torch.zeros(1, 3, size, size, dtype=torch.uint8)
        assert torch.equal(painter.painted(image), painter._painted(image))
    assert [shape[-1] for shape, *_ in painter.graphs] == [40, 56]


def test_without_memory_for_a_graph_there_is_none(
    pixels, painting_image, graphs_everywhere, monkeypatch
):
    paint = stylizer(painting_image)
    wanted = paint(pixels)

    def fails(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(FunctionGraph, "run", fails)
    assert (paint(pixels) == wanted).all()
    assert not painter_of(paint).graphs


def test_a_limit_for_the_memory_means_no_graphs(pixels, painting_image, graphs_everywhere):
    paint = stylizer(painting_image, max_memory=8)
    paint(pixels)
    assert not painter_of(paint).graphs


def test_bytes_are_rounded_as_files_are():
    levels = torch.arange(256) / 255
    halves = (torch.arange(255) + 0.5) / 255
    generator = torch.Generator().manual_seed(0)
    values = torch.cat(
        [levels, halves, halves.nextafter(torch.ones(1)), torch.rand(9999, generator=generator),
         torch.tensor([-0.1, 1.1])]
    )  # fmt: skip
    assert (as_bytes(values).numpy() == quantize(values.numpy(), 8)).all()


def test_a_batch_is_read_as_its_images_are(pixels):
    shade = np.stack([np.full((64, 96, 1), 255), np.zeros((64, 96, 1)), np.eye(64, 96)[..., None]])
    images = np.concatenate([pixels, shade.astype(np.uint8)], axis=3)
    batch = read_batch(torch.from_numpy(images).permute(0, 3, 1, 2))
    for index, image in enumerate(images):
        picture = impasto.read(image)
        assert torch.equal(batch.rgb[index], picture.rgb[0])
        alpha = torch.ones(1, 1, 64, 96) if picture.alpha is None else picture.alpha
        assert torch.equal(batch.alpha[index], alpha[0])


def test_colours_are_kept_picture_by_picture(pixels):
    photos = read_batch(torch.from_numpy(pixels).permute(0, 3, 1, 2)).rgb
    painted = photos.flip(3).roll(1, dims=0)
    together = keep_colors(painted, photos)
    alone = [keep_colors(*pair) for pair in zip(painted.split(1), photos.split(1), strict=True)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-6)
