"""What a run gives: Progress while it lasts, a Result in the end, and enough to go on from."""

from __future__ import annotations

import io
import platform
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.base import files
from impasto.base.devices import Device
from impasto.images import write
from impasto.images.color import keep_colors
from impasto.images.enlarge import enlarge
from impasto.images.masks import only_inside
from impasto.images.picture import Picture
from impasto.images.sizes import resize
from impasto.losses.objective import Anchor, Losses
from impasto.runs.plan import RunPlan
from impasto.settings.recipe import Recipe
from impasto.settings.recipe_files import with_paths
from impasto.solvers import State


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
class Job:
    """What is the same for a whole run: the recipe, and the images at their final size.

    ``style_weights`` sum to 1. ``init`` is the initial image if it came from a file. ``mask``
    (1, 1, H, W) is where to paint, None for everywhere; ``regions`` are parts of it, masks, with
    paintings of their own. Where a painting is transparent it doesn't count. ``anchor`` is the
    frame before, of a film. ``plan`` is how the method ``optimize`` is going to run. For the method
    instant, ``content`` may be a batch of images of one size, on any device.
    """

    recipe: Recipe
    content: Picture
    styles: tuple[Picture, ...]
    style_weights: tuple[float, ...]
    device: Device
    init: Picture | None = None
    mask: Tensor | None = None
    regions: tuple[tuple[Tensor, Picture], ...] = ()
    anchor: Anchor | None = None
    plan: RunPlan | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user about what of the images' files isn't used."""
        pictures = [self.content, *self.styles, *(picture for _, picture in self.regions)]
        pictures += [] if self.init is None else [self.init]
        return tuple(dict.fromkeys(note for picture in pictures for note in picture.notes))

    def finished(self, pixels: Tensor) -> Tensor:
        """Return a picture (N, 3, h, w) as it is to be seen, on the device of the content image:
        in the colours that the recipe asks for, and the photo where nothing is to be painted.
        """
        pixels = pixels.float().to(self.content.rgb.device)
        height, width = pixels.shape[-2:]
        photo = resize(self.content.rgb, height, width, "antialias")
        if self.recipe.color == "content":
            pixels = keep_colors(pixels, photo)
        if self.recipe.mix < 1:
            pixels = torch.lerp(photo, pixels, self.recipe.mix)
        if self.mask is not None:
            mask = resize(self.mask, height, width, "antialias").to(pixels)
            pixels = only_inside(pixels, photo, mask)
        return pixels

    def note(self) -> dict[str, Any]:
        """Return what a picture says about how it was made: no times or dates, so that the same job
        gives the same bytes, and of files only the bare names.
        """

        def bare(name: str) -> str:
            return Path(name).name

        content = self.content.note()
        if "name" in content:
            content["name"] = bare(content["name"])
        return {
            "recipe": with_paths(self.recipe.model_dump(mode="json"), bare),
            "content": content,
            "styles": [
                {"name": bare(style.name), "weight": weight, "sha256": style.sha256}
                for style, weight in zip(self.styles, self.style_weights, strict=True)
            ],
            "computed": {"device": str(self.device.device), "precision": self.device.precision},
            "versions": {
                "impasto": version("impasto"),
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What changes during a run: all that is needed to go on from step ``step``, bit for bit.

    ``steps_before`` are the steps taken at each scale before this one. ``best`` is the image with
    the lowest total so far in this scale, and that total; ``falls`` the lowest totals of late.
    """

    step: int
    scale_index: int
    step_in_scale: int
    steps_before: tuple[int, ...]
    image: Tensor  # (1, 3, h, w) at the current scale
    solver: State
    best: tuple[Tensor, float] | None
    falls: tuple[float, ...]
    rows: tuple[Row, ...]
    seconds: float


@dataclass(frozen=True, eq=False)
class Progress:
    """One event of a run: the image after ``step`` of ``steps`` updates (or per cent of the work,
    for a method that makes none), and its losses, if it has any.

    ``scale`` is the long side that is being worked at, px; ``seconds`` and ``eta`` count without
    start-up; ``message`` is a sentence when something happened that a person should know.
    ``pixels`` (1, 3, h, w) is the image; ``snapshot`` is None where a run can't be gone on with.
    A Progress stays valid when the run goes on: its picture, and as a checkpoint. While an old one
    is held, L-BFGS keeps the vectors that it needs, up to 24 bytes a pixel for each pair.
    """

    step: int
    steps: int
    scale: int
    losses: Losses | None
    seconds: float
    eta: float
    message: str | None
    job: Job = field(repr=False)
    pixels: Tensor = field(repr=False)
    snapshot: Snapshot | None = field(repr=False)

    @property
    def image(self) -> Image.Image:
        """The picture so far, at the size being worked at."""
        pixels = self.job.finished(self.pixels)
        return Image.fromarray(write.quantize(_as_array(pixels, None), 8))

    def result(self) -> Result:
        """The picture so far as a Result at its final size: what a stopped run leaves."""
        job, pixels = self.job, self.pixels
        if pixels.shape[-2:] != job.content.rgb.shape[-2:]:
            small, seamless = pixels.float().cpu(), job.recipe.seamless
            pixels = enlarge(small, job.content.rgb, seamless=seamless)
        pixels = job.finished(pixels)
        return Result(
            array=_as_array(pixels, job.content.alpha),
            losses=self._trace(),
            seconds=self.seconds,
            steps=self.step,
            job=job,
        )

    def _trace(self) -> Trace | None:
        if self.losses is None or self.snapshot is None:
            return None
        rows = self.snapshot.rows
        if not rows or rows[-1]["step"] != self.step:
            row = Row(step=self.step, scale=self.scale, **self.losses.as_dict())  # type: ignore[typeddict-item]
            rows = (*rows, row)
        return Trace(rows)


def last(events: Iterable[Progress]) -> Progress:
    """Return the last event of a run.

    ``*_, last = events`` would hold all of them, and with each its picture and the state of the
    solver: 7 GB for 1,000 steps at 512 px.
    """
    (event,) = deque(events, maxlen=1)
    return event


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
        format = format or write.format_for(path)
        encoding = self.encoding(format, bit_depth, metadata=metadata)
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


def _as_array(pixels: Tensor, alpha: Tensor | None) -> np.ndarray:
    channels = pixels if alpha is None else torch.cat([pixels.cpu(), alpha], dim=1)
    array: np.ndarray = channels[0].permute(1, 2, 0).float().cpu().contiguous().numpy()
    return array
