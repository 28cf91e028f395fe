"""Figures: the things that a style image shows, such as faces, hands and houses.

The statistics of the encoder's high layers describe the large shapes of a style, but also the
things that the style image depicts: an image optimised towards them gets eyes in its sky. Therefore
places that show things count less in these layers.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from impasto.images.sizes import resize
from impasto.losses.layers import Recorder
from impasto.networks.kernels.engine import Engine
from impasto.networks.vgg19 import VGG19

LAYER = "block5_conv4"
"""The encoder's last layer, whose channels respond to things rather than to textures."""
LONG_SIDE_PX = 512
"""Largest size at which things are detected, about that of the encoder's training images. Smaller
images keep their size, because enlarged ones are too soft for anything to be recognised.
"""
PLAIN_RMS, FIGURE_RMS = 5.0, 7.5
"""Root mean square of the layer, in units of its mean over photographs, below which a place shows
no thing, and above which it does. Faces in paintings reach 9 to 25, skies and leaves 2 to 4. Chosen
by eye, see docs/choosing-the-look.md.
"""
FIGURE_RADIUS = 2
"""Extent of a thing around the place where it is recognised, in locations of 16 px."""


@torch.no_grad()
def plainness(encoder: VGG19, rgb: Tensor) -> Tensor:
    """Return how little is recognised at each place of an image.

    Args:
        encoder: The encoder, with unit activations.
        rgb: The image, (1, 3, H, W).

    Returns:
        The plainness, 0 (a thing) to 1 (nothing recognised), (1, 1, h, w) with the size of
        ``LAYER``.
    """
    factor = min(1.0, LONG_SIDE_PX / max(rgb.shape[-2:]))
    height, width = (max(32, round(side * factor)) for side in rgb.shape[-2:])
    recorder = Recorder()
    image = resize(rgb, height, width, "antialias")
    Engine(encoder, [LAYER]).forward(image, {LAYER: [recorder]}, keep=False)
    rms = recorder.features().float().square().mean(1, keepdim=True).sqrt()  # (1, 1, h, w)
    diameter = 2 * FIGURE_RADIUS + 1
    rms = functional.max_pool2d(rms, diameter, stride=1, padding=FIGURE_RADIUS)
    return ((FIGURE_RMS - rms) / (FIGURE_RMS - PLAIN_RMS)).clamp(0, 1)
