"""Painting of batches of images by feed-forward methods, on a GPU.

The pixels are copied to the GPU once and back once, in their own type. There they are converted,
resized, painted and rounded, batch by batch.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.base.devices import is_out_of_memory
from impasto.base.errors import ImageError
from impasto.images.arrays import OUT_OF_RANGE, unit_range
from impasto.images.limits import MIN_SIDE_PX, Limits
from impasto.images.read import read_batch
from impasto.images.sizes import fit_long_side
from impasto.images.transfer import as_bytes, channels_last, download, upload
from impasto.images.write import quantize
from impasto.methods.feed_forward.brushes import Brush
from impasto.methods.feed_forward.plan import batch_size
from impasto.methods.feed_forward.run import paint
from impasto.networks.kernels.graph import FunctionGraph
from impasto.runs.job import Job
from impasto.runs.progress import last

CHANNELS = (1, 3, 4)
GRAPH_PIXELS = 2_500_000
"""Largest batch that is painted by a CUDA graph: eight images of 640×360, or one of 1920×1080. In
larger batches a kernel runs for longer than the host needs to launch it.
"""
MAX_GRAPHS = 4
"""Largest number of graphs. Each keeps the memory of its feature maps, some hundred MB."""


def uses_graphs(pixels: Tensor) -> bool:
    """Return whether a batch (N, C, H, W) is painted by a CUDA graph.

    A graph is captured on the current device only.
    """
    is_small = pixels[:, 0].numel() <= GRAPH_PIXELS
    return is_small and pixels.is_cuda and pixels.device.index == torch.cuda.current_device()


class BatchPainter:
    """Paints batches of images of one size with the settings and brushes of a job."""

    def __init__(self, job: Job, brushes: Sequence[Brush], limits: Limits | None = None) -> None:
        self.job, self.brushes, self.limits = job, brushes, limits or Limits()
        self.device = job.device.device
        self.graphs: dict[tuple[Any, ...], FunctionGraph] = {}
        self.lock = threading.Lock()

    def takes(self, images: np.ndarray | Tensor) -> bool:
        """Return whether the images are a batch of a type and size that images may have.

        A batch is an array (N, H, W, C) or a tensor (N, C, H, W), with N ≥ 1.
        """
        if images.ndim != 4 or not len(images):
            return False
        if isinstance(images, Tensor):
            is_image = images.is_floating_point() or images.dtype in (torch.uint8, torch.bool)
            channels, height, width = images.shape[1:]
        else:
            is_image = True  # ``unit_range`` refuses other types
            height, width, channels = images.shape[1:]
        fits = height * width <= self.limits.max_megapixels * 1e6
        return is_image and fits and channels in CHANNELS and min(height, width) >= MIN_SIDE_PX

    def paint(self, images: np.ndarray | Tensor) -> Any:
        """Paint a batch and return one of the same type, on the same device.

        Raises:
            ImageError: The type or the values are not those of an image.
            DeviceError: There is not enough memory.
        """
        return self._array(images) if isinstance(images, np.ndarray) else self._tensor(images)

    def _array(self, images: np.ndarray) -> np.ndarray:
        """Paint an array (N, H, W, C)."""
        pixels = images if images.dtype in (np.uint8, np.bool_) else unit_range(images)
        parts = (
            channels_last(self.painted(upload(part, self.device).permute(0, 3, 1, 2)))
            for part in self._split(pixels, *images.shape[1:3])
        )
        painted = download(parts, len(images)).numpy()
        if images.dtype == np.uint16:
            return quantize(painted, 16)
        return painted.astype(images.dtype, copy=False) if images.dtype.kind == "f" else painted

    def _tensor(self, images: Tensor) -> Tensor:
        """Paint a tensor (N, C, H, W)."""
        if images.is_floating_point() and not ((images >= 0) & (images <= 1)).all():
            raise ImageError(OUT_OF_RANGE)
        parts = (
            self.painted(upload(part, self.device))
            for part in self._split(images, *images.shape[2:])
        )
        if images.device.type == "cpu":
            return download(parts, len(images))
        whole = list(parts)
        return (torch.cat(whole) if len(whole) > 1 else whole[0]).to(images.device)

    def _split(self, images: Any, height: int, width: int) -> Iterator[Any]:
        """Yield parts of the images that fit into the memory."""
        recipe = self.job.recipe
        size = recipe.long_side(height, width)
        fitted = fit_long_side(height, width, size, recipe.resize)
        step = batch_size(recipe, self.device, *fitted)
        if self.device.type == "cuda":  # graphs paint small parts; copies overlap with painting
            step = min(step, max(1, GRAPH_PIXELS // (height * width)))
        for start in range(0, len(images), step):
            yield images[start : start + step]

    def painted(self, pixels: Tensor) -> Tensor:
        """Paint a tensor (N, C, H, W) on the device; a CUDA graph paints small batches.

        Returns:
            The pictures, (N, 3, H, W), or with 4 channels if there is transparency. Their type is
            that of ``pixels`` if it is a float type, and uint8 otherwise.
        """
        if self.job.recipe.max_memory is not None or not uses_graphs(pixels):
            return self._painted(pixels)
        # A graph's memory belongs to one stream: calls on two streams would overwrite each other.
        stream = torch.cuda.current_stream().cuda_stream if pixels.is_cuda else None
        key = pixels.shape, pixels.dtype, stream
        with self.lock:
            graph = self.graphs.pop(key, None) or FunctionGraph()
            self.graphs[key] = graph  # in order of last use
            if len(self.graphs) > MAX_GRAPHS:
                del self.graphs[next(iter(self.graphs))]
            try:
                return graph.run(lambda image: (image, self._painted(image)), pixels)[1]
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self.graphs.clear()
        torch.cuda.empty_cache()
        return self._painted(pixels)

    def _painted(self, pixels: Tensor) -> Tensor:
        batch, recipe = read_batch(pixels), self.job.recipe
        size = recipe.long_side(batch.height, batch.width)
        job = replace(self.job, content=batch.fitted(size, recipe.resize))
        painted = job.finished(last(paint(job, self.brushes)).pixels)
        if job.content.alpha is not None:
            painted = torch.cat([painted, job.content.alpha], dim=1)
        return painted.to(pixels.dtype) if pixels.is_floating_point() else as_bytes(painted)
