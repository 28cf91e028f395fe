"""The method instant on a real GPU: the pictures of the CPU, and none that changes afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

import impasto
from impasto.methods.feed_forward import run
from impasto.methods.feed_forward.batches import BatchPainter
from impasto.networks.kernels.graph import WARM_UP_CALLS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]
SETTINGS = [{}, {"color": "content"}, {"mix": 0.5}, {"size": 200}, {"statistics": "thumbnail"}]
SIZES = [(96, 64), (641, 363), (1280, 720)]
TOLERANCE = {"float32": 0.5, "bfloat16": 1.5}
"""Largest mean difference, of 255, from the CPU in float32. cuDNN rounds the inputs of float32
convolutions to TF32, which has 10 bits; bfloat16 has 7."""


@pytest.fixture
def pixels(photo_image) -> np.ndarray:
    """Three different pictures, (3, 64, 96, 3)."""
    photo = np.asarray(photo_image)
    return np.stack([photo, photo[:, ::-1], photo // 3])


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """The mean difference of two arrays."""
    assert first.shape == second.shape
    return float(np.abs(first.astype(float) - second).mean())


def painter_of(paint: impasto.Stylizer) -> BatchPainter:
    """What paints the batches of a stylizer."""
    assert isinstance(paint.batches, BatchPainter)
    return paint.batches


def on_both(painting_image, **settings) -> list[impasto.Stylizer]:
    return [impasto.Stylizer(painting_image, device=d, **settings) for d in ("cpu", "cuda")]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("settings", SETTINGS)
def test_pictures_are_those_of_the_cpu(settings, size, photo_image, painting_image):
    photo = np.asarray(photo_image.resize(size))
    wanted = impasto.Stylizer(painting_image, device="cpu", precision="float32", **settings)(photo)
    for precision, tolerance in TOLERANCE.items():
        chosen: dict[str, Any] = {"precision": precision, **settings}
        gpu = impasto.Stylizer(painting_image, device="cuda", **chosen)
        assert difference(gpu(photo), wanted) < tolerance


def test_large_pictures_are_those_of_the_cpu(photo_image, painting_image, monkeypatch):
    monkeypatch.setattr(run, "MAX_WHOLE_PIXELS", 100_000)
    photo = np.asarray(photo_image.resize((600, 401)))
    cpu, gpu = on_both(painting_image, precision="float32")
    assert difference(gpu(photo), cpu(photo)) < TOLERANCE["float32"]


def test_the_result_with_everything_around_it_is_that_of_the_cpu(photo, painting_image):
    cpu, gpu = on_both(painting_image, precision="float32", color="content", mix=0.8)
    first, second = (paint.result(photo).array for paint in (cpu, gpu))
    assert np.abs(first - second).mean() * 255 < TOLERANCE["float32"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_pictures_of_a_batch_are_as_by_themselves(dtype, pixels, painting_image):
    gpu = impasto.Stylizer(painting_image, device="cuda", precision="float32")
    most = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    shade = np.broadcast_to(np.arange(96, dtype=np.uint8)[:, None], (3, 64, 96, 1))
    images = (np.concatenate([pixels, shade], axis=3) / 255 * most).astype(dtype)
    together, alone = gpu(images), np.stack([gpu(image) for image in images])
    assert together.dtype == alone.dtype == dtype
    assert difference(together, alone) / most * 255 < TOLERANCE["float32"]


def test_a_tensor_stays_on_the_gpu(pixels, painting_image):
    gpu = impasto.Stylizer(painting_image, device="cuda")
    tensors = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    painted = gpu(tensors.cuda())
    assert painted.is_cuda
    assert painted.dtype == torch.uint8
    assert difference(painted.cpu().numpy(), gpu(tensors).numpy()) < 0.1
    assert difference(painted.permute(0, 2, 3, 1).cpu().numpy(), gpu(pixels)) < 0.1


def test_a_replayed_graph_paints_what_its_function_does(pixels, painting_image, monkeypatch):
    gpu = impasto.Stylizer(painting_image, device="cuda", color="content")
    eager = impasto.Stylizer(painting_image, device="cuda", color="content")
    painter = painter_of(eager)
    monkeypatch.setattr(painter, "painted", painter._painted)
    handed_out = []
    for image in [*pixels] * (WARM_UP_CALLS + 2):
        tensor = torch.from_numpy(image).permute(2, 0, 1).cuda()
        handed_out.append((gpu(tensor), eager(tensor)))
    (graph,) = painter_of(gpu).graphs.values()
    assert graph.failure is None
    assert graph.graph is not None
    for painted, wanted in handed_out:  # compared at the end: none was overwritten
        assert (painted.int() - wanted.int()).abs().max() <= 1


def test_lists_and_several_sizes(photo_image, painting_image):
    gpu = impasto.Stylizer(painting_image, device="cuda", precision="float32")
    images = [photo_image] * 3 + [photo_image.resize((64, 48))] * 2
    for painted, image in zip(gpu(images), images, strict=True):
        assert painted.size == image.size
        assert difference(np.asarray(painted), np.asarray(gpu(image))) < TOLERANCE["float32"]


def test_it_may_be_called_from_threads(pixels, painting_image):
    """While one of them captures a graph, the others copy and paint."""
    gpu = impasto.Stylizer(painting_image, device="cuda", precision="float32")
    wanted = gpu(pixels[:1])
    sizes = [pixels[:1], pixels[:1, :40], pixels[:1, :, :50]] * 12
    with ThreadPoolExecutor(4) as pool:
        painted = list(pool.map(gpu, sizes))
    assert all(each.shape == image.shape for each, image in zip(painted, sizes, strict=True))
    for each in painted[::3]:
        assert difference(np.asarray(each), np.asarray(wanted)) < TOLERANCE["float32"]


def test_a_gpu_does_not_wait_for_each_picture(pixels, painting_image):
    gpu = impasto.Stylizer(painting_image, device="cuda", color="content")
    tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2).cuda()
    gpu(tensor)  # constants are copied to the device once
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        painter_of(gpu)._painted(tensor)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("steady", [True, False])
def test_frames_of_a_film_are_those_of_the_cpu(steady, frames, painting):
    pytest.importorskip("cv2")
    from impasto.video.painting import Key, frame_painter

    painters = [
        frame_painter(
            [Key(0, str(painting))], {"device": d, "precision": "float32"}, frames[0], steady=steady
        )
        for d in ("cpu", "cuda")
    ]
    waits = []
    for index, frame in enumerate(frames[:6]):
        motion: Any = object() if index else None
        waits.append([painter.start(frame, 0.0, index, motion) for painter in painters])
    for first, second in ([wait() for wait in pair] for pair in waits):
        assert difference(second, first) < TOLERANCE["float32"]
