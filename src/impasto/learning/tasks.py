"""The tasks that a network learns, and their losses."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from impasto.learning.crops import KEPT, Crop, crop_number, random_crop
from impasto.learning.settings import LearnSettings
from impasto.losses.objective import Losses, Objective
from impasto.methods.optimize.regions import plain_places, regions_at, suited
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.methods.optimize.setup import make_engine
from impasto.networks.kernels.engine import FeatureEngine
from impasto.runs.job import Job


class Task(Protocol):
    """A task that a network learns: the crops that it paints, and the losses of its pictures."""

    def crop(self, draw: int) -> Crop:
        """Return the crop that is painted at a draw; the same draw gives the same crop."""
        ...

    def losses_and_gradient(self, crop: Crop, picture: Tensor, draw: int) -> tuple[Losses, Tensor]:
        """Return the losses of the picture of a crop, and the gradient of its pixels.

        Args:
            crop: The crop.
            picture: The picture, (1, 3, S, S), without its history.
            draw: The draw at which it is painted.
        """
        ...


class StyleTask:
    """Any photo in the style of the style images (Johnson et al. 2016).

    Args:
        settings: The settings of the training.
        job: The style images, the recipe of the look, and the device.
        photos: The photos, (3, H, W), uint8.
    """

    def __init__(self, settings: LearnSettings, job: Job, photos: Sequence[Tensor]) -> None:
        self.settings, self.photos, self.device = settings, photos, job.device.device
        self.objective = make_objective(job, settings.crop, make_engine(job))
        self.crops: OrderedDict[int, Crop] = OrderedDict()

    def crop(self, draw: int) -> Crop:
        seed = self.settings.seed
        number = crop_number(draw, seed)
        if number not in self.crops:
            generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
            image = random_crop(self.photos, self.settings.crop, generator).to(self.device)
            crop = Crop(image, {})
            targets = self.objective.content_targets(crop.inner)
            self.crops[number] = Crop(image, targets)
            if len(self.crops) > KEPT:
                self.crops.popitem(last=False)
        return self.crops[number]

    def losses_and_gradient(self, crop: Crop, picture: Tensor, draw: int) -> tuple[Losses, Tensor]:
        self.objective.retarget(crop.targets)
        self.objective.begin_step(draw)
        return self.objective.losses_and_gradient(picture)


def make_objective(job: Job, side: int, engine: FeatureEngine, **changes: Any) -> Objective:
    """Return the objective of crops of ``side`` px with the styles of a job.

    The style images have the size that they have beside a whole picture.

    Args:
        job: The job.
        side: The side of the crops, px.
        engine: The encoder.
        changes: Settings of the recipe that are changed.
    """
    plain = plain_places(job, engine.encoder)
    recipe = suited(OptimizeSettings.of(job.recipe), plain).model_copy(update=changes)
    regions = regions_at(job, job.content.height, job.content.width, plain)
    blank = torch.full((1, 3, side, side), 0.5, device=job.device.device)
    return Objective(engine, recipe, blank, regions)
