"""Functions of an image, captured as CUDA graphs.

A step launches some 200 small kernels, and launching them takes a fast GPU longer than running
them. A captured graph launches all of them at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from torch import Tensor

from impasto.base.devices import is_out_of_memory

WARM_UP_CALLS = 1
"""Calls before the capture, in which the libraries select kernels and allocate work space."""

CAPTURE_LOCK = threading.Lock()
"""Held during a capture, which another thread's synchronization would spoil."""

Function = Callable[[Tensor], tuple[Tensor, Tensor]]


class FunctionGraph:
    """Runs a function of an image: captured at the second call on CUDA, and replayed from then on.

    Everything that the function reads besides the image has to stay at its place in memory. Images
    of other shapes, and images on other devices, are passed to the function itself. ``failure``
    tells why there is no graph, if the capture failed.
    """

    def __init__(self) -> None:
        self.failure: str | None = None
        self.forget()

    def forget(self) -> None:
        """Release the graph and its memory: something that the function reads was replaced."""
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.image: Tensor | None = None
        self.results: tuple[Tensor, Tensor] | None = None

    def run(self, function: Function, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the function's results for an image.

        ``function`` is the same in every call. It isn't an attribute: as a method of the graph's
        owner, it would make a cycle, and the graph's memory would stay until the next collection.
        The first result is valid until the next call; the second one is a copy.
        """
        if not image.is_cuda or self.failure is not None:
            return function(image)
        self.calls += 1
        if self.calls <= WARM_UP_CALLS or (
            self.image is not None and self.image.shape != image.shape
        ):
            return function(image)
        if self.graph is None or self.image is None or self.results is None:
            try:
                self._capture(function, image)
            except RuntimeError as error:
                self.forget()
                if is_out_of_memory(error):
                    raise
                self.failure = str(error).splitlines()[0]
                return function(image)
            return self.run(function, image)
        self.image.copy_(image)
        self.graph.replay()
        first, second = self.results
        return first, second.clone()

    def _capture(self, function: Function, image: Tensor) -> None:
        self.image, graph = image.clone(), torch.cuda.CUDAGraph()
        with CAPTURE_LOCK:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()  # the graph has memory of its own
            # Other threads may copy to the device during the capture.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self.results = function(self.image)
        self.graph = graph
