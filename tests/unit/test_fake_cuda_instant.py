"""The method instant on a GPU that doesn't exist: nothing mixes devices, nothing waits for one.

See ``test_fake_gpu`` for what fake tensors are.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_fake_gpu import FAKE
from test_mps import LIST, Recorder, lacking

import impasto
from impasto.base.devices import Device
from impasto.images import color
from impasto.images.transfer import Download, upload
from impasto.methods.feed_forward.batches import BatchPainter
from impasto.methods.feed_forward.brushes import Brush
from impasto.methods.feed_forward.frames import FeedForwardPainter
from impasto.methods.feed_forward.run import paint
from impasto.methods.instant.brushes import make_brushes
from impasto.networks.transformer import StyleTransformer
from impasto.runs.job import Job
from impasto.runs.progress import last
from impasto.video.painting import Key, frame_painter

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "the photo's colours": {"color": "content"},
    "mixed": {"mix": 0.5},
    "thumbnail": {"statistics": "thumbnail"},
    "resized": {"size": 200},
    "built-in style": {"style": "starry-swirl", "strength": 0.5},
}
SHAPES = {
    "single": (1, 3, 64, 96),
    "pyramid": (1, 3, 1080, 1921),
    "batch": (8, 3, 360, 640),
    "transparent batch": (3, 4, 700, 1000),
    "grey": (2, 1, 90, 101),
    "bands": (1, 3, 1201, 1002),
}


class GPURecorder(Recorder):
    """Records the operators on fake tensors, which are also asked for their device."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.prim.device.default:
            return function(*args)
        return super().__torch_dispatch__(function, types, args, kwargs)


@pytest.fixture(autouse=True)
def _fake(monkeypatch):
    """Hand out zeros for fake pixels; forget constants that were made on the device."""

    def zeros(download: Download) -> np.ndarray:
        return np.zeros(download.host.shape, str(download.host.dtype).removeprefix("torch."))

    monkeypatch.setattr(Download, "array", zeros)
    monkeypatch.setattr("impasto.methods.feed_forward.run.MAX_WHOLE_PIXELS", 1_200_000)
    color._kept.cache_clear()
    yield
    color._kept.cache_clear()


def on_gpu(job: Job, gpu: torch.device) -> tuple[Job, list[Brush]]:
    """A job for the GPU and its brushes there; its images stay on the CPU."""
    brushes = [
        Brush(fake_network(brush.network, gpu), fake(brush.style, gpu), brush.cover)
        for brush in make_brushes(job)
    ]
    regions = tuple(
        (fake(mask), replace(style, rgb=fake(style.rgb))) for mask, style in job.regions
    )
    job = replace(
        job,
        device=Device(gpu, torch.bfloat16, "plain", "it doesn't exist"),
        content=replace(job.content, rgb=fake(job.content.rgb)),
        mask=None if job.mask is None else fake(job.mask),
        regions=regions,
    )
    return job, brushes


def fake(tensor: torch.Tensor, device: torch.device | None = None) -> torch.Tensor:
    with FAKE:
        return torch.empty(tensor.shape, dtype=tensor.dtype, device=device)


def fake_network(network: StyleTransformer, gpu: torch.device) -> StyleTransformer:
    """A network in bfloat16; parameters can't be moved there, so they are replaced."""
    network = copy.deepcopy(network)
    for convolution in network.convolutions.values():
        for name, value in list(convolution.named_parameters()):
            parameter = torch.nn.Parameter(fake(value.bfloat16(), gpu), requires_grad=False)
            setattr(convolution, name, parameter)
    return network


@pytest.fixture
def painter(fake_gpu, painting_image):
    def made(style=painting_image, **settings) -> BatchPainter:
        job = impasto.Stylizer(style, precision="float32", **settings).template
        return BatchPainter(*on_gpu(job, fake_gpu))

    return made


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SETTINGS)
def test_a_batch_stays_on_its_gpu(name, shape, painter, fake_gpu):
    paint = painter(**SETTINGS[name])
    with FAKE:
        for dtype in (torch.uint8, torch.float16):
            painted = paint.painted(torch.empty(SHAPES[shape], dtype=dtype, device=fake_gpu))
            assert (painted.device, painted.dtype) == (fake_gpu, dtype)
            assert painted.shape[:2] == (SHAPES[shape][0], max(3, SHAPES[shape][1]))


@pytest.mark.skipif(not LIST.exists(), reason="this PyTorch comes without its list of operators")
@pytest.mark.parametrize("name", SETTINGS)
def test_a_batch_uses_no_operator_that_mps_lacks(name, painter, fake_gpu):
    paint = painter(**SETTINGS[name])
    with FAKE, GPURecorder() as recorder:
        for shape in ("pyramid", "transparent batch"):
            paint.painted(torch.empty(SHAPES[shape], dtype=torch.uint8, device=fake_gpu))
    assert not lacking(recorder.names)


def test_a_stylizer_takes_tensors_of_the_gpu_and_arrays(painter, fake_gpu, painting_image):
    paint = impasto.Stylizer(painting_image, precision="float32")
    batches = painter()
    paint.loaded.batches = batches
    with FAKE:
        tensors = torch.empty(5, 3, 64, 96, dtype=torch.uint8, device=fake_gpu)
        assert paint(tensors).device == paint(tensors[0]).device == fake_gpu
        assert [each.device for each in paint([tensors[0], tensors[1]])] == [fake_gpu] * 2
        assert paint(tensors.cpu()).device.type == "cpu"
        array = upload(np.zeros((3, 64, 96, 4), np.uint8), fake_gpu)
        assert batches.painted(array.permute(0, 3, 1, 2)).device == fake_gpu


@pytest.mark.parametrize("size", [96, 1300])
def test_masks_and_regions(size, fake_gpu, painting_image, photo_image, tmp_path):
    mask = Image.new("L", (16, 16), 255)
    mask.paste(0, (8, 0, 16, 16))
    mask.save(tmp_path / "mask.png")
    job, brushes = on_gpu(
        impasto.prepare(
            photo_image, painting_image, method="instant", precision="float32", mix=0.5,
            size=size, mask=tmp_path / "mask.png", region={tmp_path / "mask.png": "starry-swirl"},
        ),
        fake_gpu,
    )  # fmt: skip
    with FAKE:
        event = last(paint(job, brushes=brushes))
        assert event.pixels.device == fake_gpu
        assert job.finished(event.pixels).device.type == "cpu"


@pytest.mark.parametrize("steady", [True, False])
def test_frames_of_a_film_also_of_one_that_is_resumed(
    steady, fake_gpu, frames, painting, monkeypatch
):
    keys = [Key(0, str(painting)), Key(1, str(painting))]
    paint = frame_painter(keys, {"precision": "float32"}, frames[0], steady=steady)
    assert isinstance(paint, FeedForwardPainter)
    pairs = [on_gpu(job, fake_gpu) for job in paint.jobs]
    paint.jobs = [job for job, _ in pairs]
    paint.brushes = [brushes for _, brushes in pairs]
    pixels = {"shot": frames[0], "glance": paint.brightness}
    pixels = {name: SimpleNamespace(numpy=array.copy) for name, array in pixels.items()}
    monkeypatch.setattr(paint, "_begin_shot", lambda frame: None)
    with FAKE:
        for index, frame in enumerate(frames[:3]):
            motion: Any = object() if index else None
            wait = paint.start(frame, 0.4 * index, index, motion)
            assert wait().shape == frame.shape
        assert (set(devices(paint.shot_statistics.by_size.values())) == {fake_gpu}) == steady
        state = paint.state()
        assert "fakegpu" not in str(set(devices(state["known"].values())))
        paint.restore({**state, **pixels})
        paint.start(frames[3], 1.2, 3, motion)


def devices(known) -> list[torch.device]:
    """The devices of all moments of some statistics."""
    return [value.device for each in known for moments in each if moments for value in moments]


def test_a_style_on_the_other_device_is_noticed(painter, fake_gpu):
    paint = painter()
    (brush,) = paint.brushes
    paint.brushes = [replace(brush, style=fake(brush.style))]
    with FAKE, pytest.raises(RuntimeError, match="two devices"):
        paint.painted(torch.empty(1, 3, 64, 96, dtype=torch.uint8, device=fake_gpu))
