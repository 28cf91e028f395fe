"""Creation of the encoder, the solver and the initial image of a run."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.images.sizes import resize
from impasto.methods.feed_forward.run import quick_picture
from impasto.methods.instant.brushes import make_brushes
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.networks.kernels.engine import AutogradEngine, Engine, FeatureEngine
from impasto.networks.load import load_encoder
from impasto.runs.job import Job
from impasto.runs.plan import Scale
from impasto.solvers import Solver
from impasto.solvers.adam import Adam, AveragedAdam
from impasto.solvers.lbfgs import LBFGS

POLISH_LR = (0.008, 0.001)
"""First and last step length of the polish."""
POLISH_DECAY = 0.9
"""Decay of the average of the polish."""


def make_engine(job: Job) -> FeatureEngine:
    """Return the encoder of a job's recipe, ready to run on its device."""
    recipe = OptimizeSettings.of(job.recipe)
    encoder = load_encoder(
        recipe.weights,
        pooling=recipe.pooling,
        unit_activations=recipe.unit_activations,
        device=job.device.device,
        dtype=job.device.dtype,
    )
    style_layers = {**recipe.style_layers, **recipe.plain_style_layers}
    if job.device.kernel == "autograd":
        return AutogradEngine(encoder)
    return Engine(encoder, [*style_layers, *recipe.content_layers], kernel=job.device.kernel)


def make_solver(recipe: OptimizeSettings, history: int, scale: Scale) -> Solver:
    """Return the solver for a scale.

    Args:
        recipe: The settings.
        history: The number of pairs of vectors for which L-BFGS has memory.
        scale: The scale.
    """
    if scale.polish:
        return AveragedAdam(*POLISH_LR, scale.steps, decay=POLISH_DECAY)
    if recipe.solver == "adam":
        return Adam(
            recipe.learning_rate,
            recipe.adam_beta1,
            recipe.adam_beta2,
            recipe.adam_epsilon,
            recipe.adam_epsilon_form,
        )
    return LBFGS(recipe.learning_rate, history)


def initial_image(job: Job, photo: Tensor, scale: Scale) -> Tensor:
    """Return the image from which a run starts, (1, 3, h, w).

    Args:
        job: The job.
        photo: The content image, maybe underpainted, (1, 3, H, W).
        scale: The first scale of the run, which determines the size.
    """
    recipe = OptimizeSettings.of(job.recipe)
    if recipe.init == "noise":
        generator = torch.Generator().manual_seed(recipe.seed)
        image = torch.rand(1, 3, scale.height, scale.width, generator=generator)
    elif recipe.init == "instant":
        image = quick_picture(job, make_brushes(job), scale.height, scale.width)
    elif job.init is not None:
        image = _covering(job.init.rgb, scale)
    elif recipe.init == "style":
        image = _covering(job.styles[0].rgb, scale)
    else:
        image = _covering(photo, scale)
    return image.to(job.device.device)


def _covering(image: Tensor, scale: Scale) -> Tensor:
    """Resize an image to cover the size of a scale, keeping its aspect, and crop the centre."""
    height, width = image.shape[-2:]
    factor = max(scale.height / height, scale.width / width)
    covering = (max(scale.height, round(height * factor)), max(scale.width, round(width * factor)))
    resized = resize(image, *covering, "antialias")
    top, left = (covering[0] - scale.height) // 2, (covering[1] - scale.width) // 2
    return resized[..., top : top + scale.height, left : left + scale.width].contiguous()
