"""Views of an image that is shifted by a few pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

Shift = tuple[int, int]
"""Offset of a view, px down and px right."""


class Views:
    """Shifted views of images (N, 3, height, width), one of which is selected.

    The pixels that enter a view at an edge are the reflection of those inside, or with
    ``seamless`` the pixels of the opposite edge.

    A view is four index tensors, and ``select`` overwrites the selected ones in place: a captured
    CUDA graph reads the same memory whatever the view.
    """

    def __init__(
        self,
        shifts: Sequence[Shift],
        height: int,
        width: int,
        device: torch.device | None = None,
        *,
        seamless: bool = False,
    ) -> None:
        self.is_identity = all(shift == (0, 0) for shift in shifts)
        self.all = [
            tuple(
                index.to(device)
                for length, offset in ((height, down), (width, right))
                for index in _indices(length, offset, seamless=seamless)
            )
            for down, right in shifts
        ]
        self.selected = tuple(index.clone() for index in self.all[0])

    def select(self, number: int) -> None:
        """Select the view ``number``, counted in a circle."""
        if len(self.all) > 1:
            for index, new in zip(self.selected, self.all[number % len(self.all)], strict=True):
                index.copy_(new)

    def of(self, image: Tensor) -> Tensor:
        """Return the selected view of an image."""
        if self.is_identity:
            return image
        rows, _, columns, _ = self.selected
        return image.index_select(2, rows).index_select(3, columns)

    def adjoint(self, gradient: Tensor) -> Tensor:
        """Return the gradient with respect to the image, given that with respect to its view."""
        if self.is_identity:
            return gradient
        _, rows, _, columns = self.selected
        padded = functional.pad(gradient, (0, 1, 0, 1))  # "nothing" is the row after the last one
        summed = padded.index_select(2, rows[0]) + padded.index_select(2, rows[1])
        return summed.index_select(3, columns[0]) + summed.index_select(3, columns[1])


def _indices(length: int, offset: int, *, seamless: bool) -> tuple[Tensor, Tensor]:
    """Return where a view's rows come from, (length,), and where an image's rows go, (2, length).

    A row of the image is in a view at most twice: shifted, and reflected at one edge. ``length``
    stands for nowhere.
    """
    position = torch.arange(length)
    source, target = position - offset, position + offset
    nowhere = torch.full_like(position, length)
    if seamless:
        return source % length, torch.stack([target % length, nowhere])
    last = length - 1
    source = last - (last - source.abs()).abs()
    shifted = torch.where((target >= 0) & (target <= last), target, nowhere)
    # What enters at the upper edge is the reflection of rows 1 to offset; likewise at the lower.
    reflected = offset - position if offset > 0 else 2 * last + offset - position
    entered = (reflected >= 0) & (reflected < offset) if offset > 0 else (
        (reflected > last + offset) & (reflected <= last)
    )  # fmt: skip
    return source, torch.stack([shifted, torch.where(entered, reflected, nowhere)])
