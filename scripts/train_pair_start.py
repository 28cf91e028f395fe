"""Train the network from which trainings with pairs start. It reproduces its input.

    python scripts/train_pair_start.py [--time 300]

Such a network has the least to learn from a pair, and leaves unchanged what the pair doesn't
contain. The colours of the bundled photos are mixed at random, so that the network is trained with
all colours.
"""

from __future__ import annotations

import argparse
import base64
import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from impasto.base import files
from impasto.learning.crops import MARGIN, random_crop
from impasto.learning.photos import training_photos
from impasto.learning.start import PLAIN
from impasto.learning.style import thumbnail
from impasto.methods.feed_forward.plan import COARSEST_PX
from impasto.networks.learned import initial_parameters, layers_of, paint_to_train
from impasto.networks.network_shape import SHAPES
from impasto.networks.transformer import Parameters
from impasto.styles.style_file import SUFFIX, StyleDescription, encode

TARGET = Path(__file__).parents[1] / "src/impasto/learning" / f"fast{PLAIN}{SUFFIX}"
SHAPE = SHAPES["fast"].model_copy(update={"normalised": False})
CROP = 160
"""Side of the crops with their margin, px."""
LEARNING_RATE = 1.5e-3
WARM_UP_STEPS = 50
"""Steps in which the learning rate rises. Without them, large first steps make ReLUs die."""
MIXING = 0.35
"""Standard deviation of the entries of the random colour matrix, around the identity."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time", type=float, default=300, help="length of the training, seconds")
    seconds = parser.parse_args().time
    photos = training_photos(None)
    parameters = train(initial_parameters(SHAPE, 0), photos, seconds)
    info = StyleDescription(
        name="photo",
        licence="as impasto",
        shape=SHAPE,
        size=COARSEST_PX,
        thumbnail=base64.b64encode(thumbnail(photos[0][None] / 255)),
    )
    parameters["style"] = torch.zeros(SHAPE.tensors["style"])
    arrays = {name: value.detach().numpy() for name, value in parameters.items()}
    files.write_atomically(TARGET, encode(info, arrays))


def train(parameters: Parameters, photos: Sequence[Tensor], seconds: float) -> Parameters:
    """Train with Adam and cosine annealing until the time is up.

    Args:
        parameters: The initial parameters, which are changed in place.
        photos: The photos, (3, H, W), uint8.
        seconds: The length of the training.
    """
    trained = [value.requires_grad_() for value in parameters.values() if value.numel()]
    optimizer = torch.optim.Adam(trained, betas=(0.9, 0.99))
    layers, generator = layers_of(SHAPE), torch.Generator().manual_seed(0)
    started, step, mean = time.perf_counter(), 0, 0.0
    while (share := (time.perf_counter() - started) / seconds) < 1:
        photo = recoloured(random_crop(photos, CROP - 2 * MARGIN, generator), generator)
        loss = (paint_to_train(layers, parameters, photo) - photo).abs().mean()
        rise = min(1.0, (step + 1) / WARM_UP_STEPS)
        optimizer.param_groups[0]["lr"] = rise * LEARNING_RATE * (1 + math.cos(math.pi * share)) / 2
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        step, mean = step + 1, 0.98 * mean + 0.02 * float(loss.detach())
        if step % 100 == 0:
            print(f"{share:4.0%} step {step} difference {mean:.4f}", flush=True)
    return parameters


def recoloured(photo: Tensor, generator: torch.Generator) -> Tensor:
    """Apply a random colour matrix to a crop (1, 3, S, S)."""
    mixing = torch.eye(3) + MIXING * torch.randn(3, 3, generator=generator)
    mixed = torch.einsum("ij,njhw->nihw", mixing, photo - 0.5) + 0.5
    return mixed.clamp(0, 1).contiguous()


if __name__ == "__main__":
    main()
