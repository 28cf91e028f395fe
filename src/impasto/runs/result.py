"""The result of a run: the picture and all there is to know about it."""

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
    """The weighted losses of the image before update ``step`` + 1; ``scale``: its long side, px."""

    step: int
    scale: int
    content: float
    style: float
    tv: float
    total: float


@dataclass(frozen=True)
class Trace:
    """The losses over the steps: ``first`` is the initial image's row, ``last`` that of the image
    in hand, ``rows`` every so many and the last.
    """

    rows: tuple[Row, ...] = ()

    @property
    def first(self) -> Row:
        return self.rows[0]

    @property
    def last(self) -> Row:
        return self.rows[-1]

    def as_dict(self) -> dict[str, Any]:
        return {"first": self.first, "last": self.last, "trace": list(self.rows)}


@dataclass(frozen=True, eq=False)
class Result:
    """A stylized image, with all there is to know about it.

    ``array`` is (H, W, 3), or (H, W, 4) if the content image had transparency: float32 in [0, 1].
    ``seconds`` is the time the method took, without start-up. ``losses`` is None for a method that
    has none.
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
        """The picture as the bytes of a file; with ``metadata``, its recipe is inside."""
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
        """Write the picture; the format is told from the name. Returns the path.

        Raises OutputError: the file exists (and not ``force``), or can't be written.
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
        """How it is written, with the recipe (if ``metadata``) and the dots per inch."""
        note = self.job.note() if metadata else None
        return write.Encoding(format, bit_depth, note, self.recipe.dots_per_inch)

    def show(self) -> None:
        """Open the picture in the system's viewer."""
        self.image.show()

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.image.save(buffer, format="png")
        return buffer.getvalue()
