"""The tasks that a network is trained for, and their losses."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from impasto.learning.crops import MAX_KEPT_CROPS, Crop, crop_number, generator_of, random_crop
from impasto.learning.settings import LearnSettings
from impasto.losses.objective import Losses, Objective
from impasto.methods.optimize.regions import plain_places, regions_at, suited
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.methods.optimize.setup import make_engine
from impasto.networks.kernels.engine import FeatureEngine
from impasto.runs.job import Job


class Task(Protocol):
    """A training task. It provides the crops to stylize, and the losses of the stylized crops."""

    def crop(self, draw: int) -> Crop:
        """Return the crop for a draw. The same draw always gives the same crop."""
        ...

    def losses_and_gradient(self, crop: Crop, picture: Tensor, draw: int) -> tuple[Losses, Tensor]:
        """Return the losses of a stylized crop, and the gradient of their sum.

        Args:
            crop: The crop.
            picture: The stylized crop, (1, 3, S, S), detached from the autograd graph.
            draw: The number of the draw.

        Returns:
            The losses, and the gradient with respect to the pixels, (1, 3, S, S).
        """
        ...


class StyleTask:
    """Stylize any photo with the style of the style images (Johnson et al. 2016).

    Args:
        settings: The settings of the training.
        job: The style images, the recipe of the objective, and the device.
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
            generator = generator_of(seed, number)
            image = random_crop(self.photos, self.settings.crop, generator).to(self.device)
            crop = Crop(image, {})
            targets = self.objective.content_targets(crop.inner)
            self.crops[number] = Crop(image, targets)
            if len(self.crops) > MAX_KEPT_CROPS:
                self.crops.popitem(last=False)
        return self.crops[number]

    def losses_and_gradient(self, crop: Crop, picture: Tensor, draw: int) -> tuple[Losses, Tensor]:
        self.objective.retarget(crop.targets)
        self.objective.begin_step(draw)
        return self.objective.losses_and_gradient(picture)


def make_objective(job: Job, side: int, engine: FeatureEngine, **changes: Any) -> Objective:
    """Return the objective for crops of ``side`` px, with the styles of a job.

    The style images have the size that they would have for a whole picture.

    Args:
        job: The job.
        side: The side of the crops, px.
        engine: The encoder.
        changes: Values that replace settings of the recipe.
    """
    plain = plain_places(job, engine.encoder)
    recipe = suited(OptimizeSettings.of(job.recipe), plain).model_copy(update=changes)
    regions = regions_at(job, job.content.height, job.content.width, plain)
    blank = torch.full((1, 3, side, side), 0.5, device=job.device.device)
    return Objective(engine, recipe, blank, regions)
