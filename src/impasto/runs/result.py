"""The result of a run: the picture, its losses and its job."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from PIL import Image

from impasto.base import files
from impasto.images import write
from impasto.runs.job import Job
from impasto.settings.recipe import Recipe


class Row(TypedDict):
    """The weighted losses after ``step`` updates, of an image whose long side is ``scale`` px."""

    step: int
    scale: int
    content: float
    style: float
    tv: float
    total: float


@dataclass(frozen=True)
class Trace:
    """The losses over the steps of a run.

    Attributes:
        rows: The losses of the initial image, of every N-th step, and of the current image.
    """

    rows: tuple[Row, ...] = ()

    @property
    def first(self) -> Row:
        """The losses of the initial image."""
        return self.rows[0]

    @property
    def last(self) -> Row:
        """The losses of the current image."""
        return self.rows[-1]

    def as_dict(self) -> dict[str, Any]:
        return {"first": self.first, "last": self.last, "trace": list(self.rows)}


@dataclass(frozen=True, eq=False)
class Result:
    """A stylized image with its losses, its time and its job.

    Attributes:
        array: The picture, float32 in [0, 1]: (H, W, 3), or (H, W, 4) if the content image had
            transparency.
        losses: The losses over the steps, or None for a method that has none.
        seconds: The time that the method took, without start-up, seconds.
        steps: The number of updates.
        job: The job that was run.
    """

    array: np.ndarray
    losses: Trace | None
    seconds: float
    steps: int
    job: Job = field(repr=False)

    @property
    def image(self) -> Image.Image:
        """The picture, 8 bits per channel."""
        return Image.fromarray(write.quantize(self.array, 8))

    @property
    def recipe(self) -> Recipe:
        return self.job.recipe

    @property
    def width(self) -> int:
        return int(self.array.shape[1])

    @property
    def height(self) -> int:
        return int(self.array.shape[0])

    @property
    def steps_per_second(self) -> float:
        return self.steps / self.seconds if self.seconds > 0 else 0.0

    def encode(
        self,
        format: write.Format = "png",
        *,
        bit_depth: write.BitDepth = 8,
        metadata: bool = True,
    ) -> bytes:
        """Return the picture as the bytes of a file; with ``metadata``, its recipe is inside."""
        return write.encode(self.array, self.encoding(format, bit_depth, metadata=metadata))

    def save(
        self,
        path: str | Path,
        *,
        format: write.Format | None = None,
        bit_depth: write.BitDepth = 8,
        metadata: bool = True,
        force: bool = False,
    ) -> Path:
        """Write the picture to a file and return its path.

        Args:
            path: The file.
            format: The format. By default the suffix of ``path`` determines it.
            bit_depth: Bits per channel.
            metadata: Whether to write the recipe into the file.
            force: Whether to replace an existing file.

        Raises:
            OutputError: The file exists, or can't be written.
        """
        path = Path(path)
        encoding = self.encoding(format or write.format_for(path), bit_depth, metadata=metadata)
        files.check_writable(path, force=force)
        files.write_atomically(path, partial(write.write, pixels=self.array, encoding=encoding))
        return path

    def encoding(
        self,
        format: write.Format,
        bit_depth: write.BitDepth = 8,
        *,
        metadata: bool = True,
    ) -> write.Encoding:
        """Return the encoding, with the recipe (if ``metadata``) and the dots per inch."""
        note = self.job.note() if metadata else None
        return write.Encoding(format, bit_depth, note, self.recipe.dots_per_inch)

    def show(self) -> None:
        """Open the picture in the system's viewer."""
        self.image.show()

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.image.save(buffer, format="png")
        return buffer.getvalue()
