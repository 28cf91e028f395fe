"""Pixels on their way between the host and a device."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import numpy as np
import torch
from torch import Tensor


def upload(pixels: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """Return the pixels on a device.

    Copies from the host to CUDA go through pinned memory, so that the host does not wait for them.
    """
    if isinstance(pixels, np.ndarray):  # PyTorch shares memory only with arrays that it may change
        pixels = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))
    if device.type == "cuda" and pixels.device.type == "cpu":
        return pixels.pin_memory().to(device, non_blocking=True)
    return pixels.to(device)


class Download:
    """A copy of pixels on the host, which the constructor starts and ``array`` waits for."""

    def __init__(self, pixels: Tensor) -> None:
        self.event: torch.cuda.Event | None = None  # at which the copy is complete
        if pixels.device.type != "cuda":
            self.host = pixels.cpu()
            return
        self.host = torch.empty(pixels.shape, dtype=pixels.dtype, pin_memory=True)
        self.host.copy_(pixels, non_blocking=True)
        self.event = torch.cuda.current_stream(pixels.device).record_event()

    def array(self) -> np.ndarray:
        """Return the pixels. On CUDA their memory is pinned and scarce: do not keep it for long."""
        if self.event is not None:
            self.event.synchronize()
        array: np.ndarray = self.host.numpy()
        return array


def download(parts: Iterable[Tensor], count: int) -> Tensor:
    """Copy the parts of a batch of ``count`` to the host as one tensor, each part while the device
    computes the next one.
    """
    whole: Tensor | None = None
    running: Download | None = None
    filled = 0
    for part in chain(parts, [None]):
        complete, running = running, None if part is None else Download(part)
        if complete is not None:
            pixels = torch.from_numpy(complete.array())
            if whole is None:
                whole = torch.empty(count, *pixels.shape[1:], dtype=pixels.dtype)
            whole[filled : filled + len(pixels)] = pixels
            filled += len(pixels)
    assert whole is not None
    return whole


def as_bytes(pixels: Tensor) -> Tensor:
    """Convert float in [0, 1] to uint8, rounded to nearest exactly as ``write.quantize`` does."""
    return (pixels * 255).round_().clamp_(0, 255).to(torch.uint8)


def channels_last(pixels: Tensor) -> Tensor:
    """Convert (N, C, H, W) to (N, H, W, C), contiguous."""
    return pixels.permute(0, 2, 3, 1).contiguous()
