"""The interface of a method: an algorithm that makes a stylized image.

A method is an object with a name, a schema of its settings, and a generator ``run``. To add one,
subclass ``Method``, which has sensible defaults for everything else. Announce an instance in the
entry point group ``impasto.methods`` or by ``impasto.register_method``. The command line, Python,
the studio and films then offer it; docs/extending.md has a complete example.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from impasto.base.errors import CheckpointError, DeviceError, RecipeError
from impasto.images.limits import MIN_SIDE_PX, Limits
from impasto.settings.methods import METHODS, Accepts, MethodInfo
from impasto.settings.recipe import Recipe

# Torch is imported only when a run needs it, because help texts and the studio's server, which only
# read the attributes of methods, have to start quickly.
if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from impasto.base.devices import Device
    from impasto.images.picture import Picture
    from impasto.motion.flow import Motion
    from impasto.runs.job import Job
    from impasto.runs.plan import Estimate, RunPlan
    from impasto.runs.progress import Progress, Snapshot

START_UP_MB = 450
"""Memory of Python and PyTorch with a small network, MB."""
BYTES_PER_PIXEL = 6 * 12
"""Memory of six images in float32: the photo, the picture, and intermediate results."""
TYPICAL_PIXELS = 512 * 384
"""Pixels of a picture to which ``Method.typical_seconds`` applies."""


class Batches(Protocol):
    """Paints batches of images of one size."""

    def takes(self, images: np.ndarray | Tensor) -> bool:
        """Return whether the images are a batch that ``paint`` accepts."""
        ...

    def paint(self, images: np.ndarray | Tensor) -> Any:
        """Paint a batch and return one of the same type, on the same device."""
        ...


class LoadedStyle(Protocol):
    """A job's style, loaded once for many photos.

    Attributes:
        batches: Paints several photos at once, or None where that is no faster.
    """

    batches: Batches | None

    def run(self, job: Job) -> Iterator[Progress]:
        """Stylize the content of a job that differs from the loaded one only in its content."""
        ...


class PrepareFrame(Protocol):
    """A function that makes the jobs of a frame, one for each style of the film."""

    def __call__(
        self,
        frame: Picture,
        *,
        defaults: Mapping[str, Any] = {},
        overrides: Mapping[str, Any] = {},
    ) -> list[Job]:
        """Prepare the jobs of a frame.

        Args:
            frame: The frame.
            defaults: Settings that those of the film override.
            overrides: Settings that override those of the film.
        """
        ...


class FramePainter(Protocol):
    """Paints the frames of a film in turn."""

    is_steady: bool = False
    """Whether painted frames don't flicker, so that they needn't be stabilised."""

    def start(
        self, pixels: np.ndarray, time: float, index: int, motion: Motion | None
    ) -> Callable[[], np.ndarray]:
        """Start to paint a frame.

        Args:
            pixels: (H, W, 3), uint8.
            time: Seconds from the start of the film.
            index: The frame's number in the film.
            motion: The motion since the previous frame. None for the first frame of a shot.

        Returns:
            A function that waits for the painted frame: (H, W, 3), float32, 0 to 255.
        """
        ...

    def paint(
        self, pixels: np.ndarray, time: float, index: int, motion: Motion | None
    ) -> np.ndarray:
        """Paint a frame and wait for it."""
        return self.start(pixels, time, index, motion)()

    def state(self) -> dict[str, Any]:
        """Return the state from which to continue after the last frame, for ``torch.save``."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state that ``state`` returned."""
        ...


@dataclass(frozen=True)
class FilmStyles:
    """The styles of a film.

    Attributes:
        times: The time at which each style begins, seconds.
        prepare: Makes the jobs of a frame, one for each style.
    """

    times: Sequence[float]
    prepare: PrepareFrame


class Method(MethodInfo, Protocol):
    """An algorithm that makes a stylized image."""

    accepts: Accepts = Accepts()
    unit: Literal["step", "percent"] = "percent"
    typical_seconds: float = 10.0

    @property
    def preset(self) -> str:
        """The preset from which the settings start."""
        return self.name

    def device(self, recipe: Recipe, *, strict: bool = False) -> Device:
        """Select the device and the precision for a recipe.

        Args:
            recipe: The settings.
            strict: Whether to use the precision of the recipe even if it is slow on the device.

        Raises:
            DeviceError: This machine has no such device.
        """
        from impasto.networks.kernels import selection

        return selection.choose(recipe.device, recipe.precision, kernel=None, strict=strict)

    def style_side(self, recipe: Recipe, size: int) -> int:
        """Return the long side, px, at which style images are read for a result of ``size`` px."""
        return round(size * recipe.style_scale)

    def plan(self, recipe: Recipe, device: Device, height: int, width: int) -> RunPlan:
        """Plan a run for a result of (height, width) px.

        Raises:
            DeviceError: There is not enough memory.
        """
        from impasto.runs.plan import Need, RunPlan, Scale

        needed_mb = START_UP_MB + height * width * BYTES_PER_PIXEL / 1e6
        check_memory(recipe, device.device, height, width, needed_mb, START_UP_MB)
        return RunPlan(height, width, (Scale(height, width, steps=1),), Need(needed_mb=needed_mb))

    def prepare(self, job: Job, limits: Limits | None) -> Job:
        """Check a job whose images have been read, and add what only this method needs.

        Raises:
            RecipeError, ImageError, DeviceError: The job can't be run as it is.
        """
        return job

    @abstractmethod
    def run(self, job: Job, snapshot: Snapshot | None = None) -> Iterator[Progress]:
        """Run a job, and yield its progress; the last event has the finished picture.

        Args:
            job: The job.
            snapshot: The state to continue from, as if the run had never stopped.
        """
        ...

    def estimate(self, job: Job) -> Estimate:
        """Return the time and memory of a run. By default, time is proportional to the pixels."""
        from impasto.runs.plan import Estimate

        plan = self.plan_of(job)
        seconds = self.typical_seconds * plan.height * plan.width / TYPICAL_PIXELS
        return Estimate(plan.scales, plan.memory, seconds)

    def restore(self, job: Job, state: Mapping[str, Any], stored: Recipe) -> Snapshot:
        """Return the snapshot of a checkpoint.

        Args:
            job: The job to continue.
            state: The values that ``Snapshot.state`` returned. They come from a file, so check
                them.
            stored: The recipe in the checkpoint. That of the job may have another number of steps.

        Raises:
            CheckpointError: The state is damaged, or doesn't fit the job. The message begins with
                a verb, because the checkpoint's name is put before it.
        """
        raise CheckpointError(f"is of the method {self.name}, whose runs can't be gone on with")

    def loaded(self, job: Job, limits: Limits | None) -> LoadedStyle | None:
        """Load the style of a job for many photos; None if each photo needs its own preparation."""
        return None

    def frame_painter(self, styles: FilmStyles, first: np.ndarray, *, steady: bool) -> FramePainter:
        """Return a painter for the frames of a film. By default, frames are painted independently.

        Args:
            styles: The film's styles.
            first: The first frame, (H, W, 3), uint8.
            steady: Whether the frames of a shot should match.

        Raises:
            RecipeError, ImageError: The film can't be made with these settings.
        """
        from impasto.methods.frames import SingleFramePainter

        return SingleFramePainter(self, styles, first)

    def plan_of(self, job: Job) -> RunPlan:
        """Return the plan of a job, or a new plan if that one is for another size.

        Raises:
            DeviceError: There is not enough memory.
        """
        height, width = job.content.height, job.content.width
        if job.plan is not None and (job.plan.height, job.plan.width) == (height, width):
            return job.plan
        return self.plan(job.recipe, job.device, height, width)


def method_of(recipe: Recipe) -> Method:
    """Return the method of a recipe."""
    return cast(Method, METHODS[recipe.method])


def run_method(job: Job, snapshot: Snapshot | None = None) -> Iterator[Progress]:
    """Run a job by its method, and yield the events.

    Raises:
        RuntimeError: The method yields no event, which is a bug in it.
        Exception: Any error of the method, with a note that names the method.
    """
    try:
        events = iter(method_of(job.recipe).run(job, snapshot))
        first = next(events, None)
        if first is None:
            raise RuntimeError("there is no picture")
        yield first
        del first  # its image needn't stay in memory
        yield from events
    except Exception as error:
        error.add_note(f"in the method {job.recipe.method}")
        raise


def register_method(method: Method) -> None:
    """Register a method in this process, under its name.

    An installed package announces its methods in the entry point group ``impasto.methods`` instead.

    Raises:
        ValueError: The name is taken, or isn't a lower-case identifier.
    """
    METHODS.register(method.name, method)


def check_memory(
    recipe: Recipe,
    device: torch.device,
    height: int,
    width: int,
    needed_mb: float,
    start_up_mb: float,
) -> None:
    """Check that a run doesn't need more memory than it may take.

    Args:
        recipe: The recipe, whose ``max_memory`` limits the memory.
        device: The device of the run.
        height: The height of the result, px.
        width: The width of the result, px.
        needed_mb: The peak memory of the run, MB: ``start_up_mb`` plus an amount proportional to
            the pixels.
        start_up_mb: The memory that doesn't depend on the size, MB.

    Raises:
        DeviceError: There is not enough memory. The message names a size that would fit.
    """
    from impasto.runs.plan import limit_mb

    available_mb = limit_mb(recipe, device)
    if needed_mb <= available_mb:
        return
    share = max(0.0, (available_mb - start_up_mb) / (needed_mb - start_up_mb))
    fits = int(max(height, width) * share**0.5) // 32 * 32
    advice = f"; size {fits} would fit" if fits >= MIN_SIDE_PX else ""
    raise DeviceError(
        f"{width}×{height} px need {needed_mb / 1000:.1f} GB of memory, and"
        f" {available_mb / 1000:.1f} GB may be used{advice}"
    )


def check_accepted(job: Job) -> None:
    """Check that a method accepts all inputs of a job.

    Raises:
        RecipeError: The method doesn't accept one of them.
    """
    method, recipe = method_of(job.recipe), job.recipe
    accepts = method.accepts
    is_blended = len(job.styles) > 1
    refused = {
        "several styles": is_blended and not accepts.several_styles,
        "regions": bool(recipe.region) and not accepts.regions,
        "style masks": bool(recipe.style_mask) and not accepts.style_masks,
        "a blank content image": job.content.blank and not accepts.blank_content,
    }
    for kind, is_refused in refused.items():
        if is_refused:
            raise RecipeError(f"the method {method.name} doesn't take {kind}")
