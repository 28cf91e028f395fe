"""Figures: the things that a style image shows, such as faces, hands and houses.

The statistics of a network's high layers hold a style's large shapes, and the things it depicts as
well: an image that is to have them grows eyes in its sky. So places that show things count for less
there.
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
"""The encoder's last layer, whose channels answer to things rather than to textures."""
LONG_SIDE_PX = 512
"""Largest size at which things are looked for: about that of the images that the encoder learned
from. Smaller images keep their size: enlarged, they are too soft for anything to be recognised.
"""
PLAIN, CLEAR = 5.0, 7.5
"""Root mean square of the layer, in units of its mean over photographs: below the first there is
nothing to be recognised, above the second there is. Faces in paintings reach 9 to 25, skies and
leaves 2 to 4. Chosen by eye: docs/choosing-the-look.md
"""
REACH = 2
"""How many of the layer's locations, 16 px each, a thing extends around where it is recognised."""


@torch.no_grad()
def plainness(encoder: VGG19, rgb: Tensor) -> Tensor:
    """How little is recognised at each place of an image, 0 to 1: (1, 3, H, W) → (1, 1, h, w),
    with the size of ``LAYER``. The encoder has unit activations.
    """
    factor = min(1.0, LONG_SIDE_PX / max(rgb.shape[-2:]))
    height, width = (max(32, round(side * factor)) for side in rgb.shape[-2:])
    recorder = Recorder()
    image = resize(rgb, height, width, "antialias")
    Engine(encoder, [LAYER]).forward(image, {LAYER: [recorder]}, keep=False)
    excitement = recorder.features().float().square().mean(1, keepdim=True).sqrt()
    excitement = functional.max_pool2d(excitement, 2 * REACH + 1, stride=1, padding=REACH)
    return ((CLEAR - excitement) / (CLEAR - PLAIN)).clamp(0, 1)
