"""Training with pairs of a photo and an artwork that depicts it (Texler et al. 2020).

The network stylizes random crops of the photo. Each stylized crop is compared with the same crop of
the artwork: pixels by their absolute difference, and features of the encoder by their squared
distance. Where the positions of strokes can't be predicted, these losses alone would average the
strokes to a blur. A style loss keeps them crisp, also on crops of other photos. Texler et al. use a
discriminator for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from impasto.base import extras
from impasto.images.picture import Picture
from impasto.images.sizes import resize
from impasto.images.transfer import as_bytes, channels_last
from impasto.learning.crops import MARGIN, Crop, generator_of, random_crop
from impasto.learning.settings import LearnSettings
from impasto.learning.tasks import make_objective
from impasto.learning.tones import cells, fit_tones
from impasto.losses.objective import Losses
from impasto.methods.feed_forward.plan import COARSEST_PX
from impasto.methods.optimize.setup import make_engine
from impasto.runs.job import Job

PIXEL_WEIGHT, MEAN_COLOUR_WEIGHT = 5.0, 10.0
"""Weights of the mean absolute differences from the artwork: of the pixels, and of the mean colours
of small squares. If positions of strokes can't be predicted, only mean colours can be right."""
TONE_WEIGHT = 0.5
"""Weight of the difference between the mean colours of a stylized photo that has no artwork and the
expected ones (``tones.py``)."""
CYCLE = 6
"""Number of draws after which the kinds of draws repeat. The encoder takes most of the time of a
draw, so most draws only compare pixels."""
COMPARED_DRAW, UNPAIRED_DRAW, TONED_DRAW = 0, 3, 5
"""Draws of a cycle that don't just compare pixels: a crop of a pair whose features are compared, a
crop of another photo with the style loss, and one with only the loss of mean colours."""
ZOOM = (0.9, 1.15)
"""Range of the random scale of a crop. It is small because it also scales the strokes."""
CANDIDATE_CROPS = 4
"""Number of random crops of which the one with the highest mean trust is chosen."""


@dataclass(frozen=True, eq=False)
class AlignedPair:
    """A photo, and the artwork that depicts it, aligned to the photo.

    Attributes:
        photo: The photo, (3, H, W), uint8.
        artwork: The artwork, (3, H, W), uint8.
        trust: The trust in each place of the artwork, (1, H, W), uint8; 255 is full trust.
    """

    photo: Tensor
    artwork: Tensor
    trust: Tensor

    @property
    def trusted_share(self) -> float:
        """The mean trust, 0 to 1."""
        return float(self.trust.float().mean()) / 255

    def as_floats(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the photo, artwork and trust, (1, C, H, W), in [0, 1]."""
        return self.photo[None] / 255, self.artwork[None] / 255, self.trust[None] / 255


@dataclass(frozen=True)
class PairCrop(Crop):
    """A crop of a pair.

    Attributes:
        artwork: The artwork without the margin, (1, 3, S, S), in [0, 1].
        trust: The trust in each place of the artwork, (1, 1, S, S), in [0, 1].
    """

    artwork: Tensor
    trust: Tensor


def make_pair(photo: Picture, artwork: Picture) -> tuple[AlignedPair, bool]:
    """Align an artwork to its photo, at the size of the training.

    Returns:
        The aligned pair, and whether the alignment is good enough to learn from the pair.

    Raises:
        MissingExtraError: OpenCV isn't installed.
    """
    extras.require("video", artwork.name)
    from impasto.learning.alignment import align

    small = photo.fitted(COARSEST_PX, "antialias")
    photo_pixels, artwork_pixels = (
        channels_last(as_bytes(picture.rgb))[0].numpy() for picture in (small, artwork)
    )
    alignment = align(photo_pixels, artwork_pixels)
    trust = np.round(alignment.trust * 255).astype(np.uint8)
    pair = AlignedPair(
        _channels_first(photo_pixels),
        _channels_first(alignment.artwork),
        torch.from_numpy(trust)[None],
    )
    return pair, alignment.fits


def _channels_first(image: np.ndarray) -> Tensor:
    """Convert an image (H, W, 3) to a tensor (3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


class PairTask:
    """Stylize any photo as the artist of the pairs would paint it.

    Args:
        settings: The settings of the training.
        job: The artworks as style images, the recipe of the objective, and the device.
        photos: Photos without an artwork, (3, H, W), uint8.
        pairs: The pairs.
    """

    def __init__(
        self,
        settings: LearnSettings,
        job: Job,
        photos: Sequence[Tensor],
        pairs: Sequence[AlignedPair],
    ) -> None:
        self.settings, self.photos, self.pairs = settings, photos, pairs
        self.device = job.device.device
        engine = make_engine(job)
        self.paired = make_objective(job, settings.crop, engine)
        self.unpaired = make_objective(job, settings.crop, engine, content_weight=0.0)
        self.tones = fit_tones([pair.as_floats() for pair in pairs])

    def crop(self, draw: int) -> Crop:
        generator = generator_of(self.settings.seed, draw)
        if draw % CYCLE in (UNPAIRED_DRAW, TONED_DRAW):
            image = random_crop(self.photos, self.settings.crop, generator)
            return Crop(image.to(self.device), {})
        pair = self.pairs[int(torch.randint(len(self.pairs), (), generator=generator))]
        crop = random_pair_crop(pair, self.settings.crop, generator)
        return replace(
            crop,
            image=crop.image.to(self.device),
            artwork=crop.artwork.to(self.device),
            trust=crop.trust.to(self.device),
        )

    def losses_and_gradient(self, crop: Crop, picture: Tensor, draw: int) -> tuple[Losses, Tensor]:
        if isinstance(crop, PairCrop):
            return self._pair_losses(crop, picture, draw)
        tones, gradient = self._tone_loss(crop, picture)
        losses = Losses(tones, 0.0, 0.0, tones)
        if draw % CYCLE == UNPAIRED_DRAW:
            self.unpaired.begin_step(draw)
            feature_losses, feature_gradient = self.unpaired.losses_and_gradient(picture)
            gradient = gradient + feature_gradient
            losses = replace(feature_losses, content=tones, total=feature_losses.total + tones)
        return losses, gradient

    def _tone_loss(self, crop: Crop, picture: Tensor) -> tuple[float, Tensor]:
        """Return the weighted loss of the mean colours of a picture, and its gradient."""
        pixels = picture.detach().requires_grad_()
        loss = TONE_WEIGHT * self.tones.loss(pixels, crop.inner)
        (gradient,) = torch.autograd.grad(loss, pixels)
        return float(loss.detach()), gradient

    def _pair_losses(self, crop: PairCrop, picture: Tensor, draw: int) -> tuple[Losses, Tensor]:
        """Return the losses of a stylized crop of a pair, and the gradient of their sum."""
        reconstruction, gradient = _reconstruction_loss(crop, picture)
        losses = Losses(reconstruction, 0.0, 0.0, reconstruction)
        if draw % CYCLE == COMPARED_DRAW:
            # The features of all places are compared. Where the artwork isn't trusted, the target
            # is the picture itself, so the difference is small.
            target = torch.lerp(picture, crop.artwork, crop.trust)
            self.paired.retarget(self.paired.content_targets(target))
            self.paired.begin_step(draw)
            feature_losses, feature_gradient = self.paired.losses_and_gradient(picture)
            gradient = gradient + feature_gradient
            losses = replace(
                feature_losses,
                content=feature_losses.content + reconstruction,
                total=feature_losses.total + reconstruction,
            )
        return losses, gradient


def _reconstruction_loss(crop: PairCrop, picture: Tensor) -> tuple[float, Tensor]:
    """Return the trust-weighted difference from the artwork, and its gradient."""
    pixels = picture.detach().requires_grad_()
    difference = crop.trust * (pixels - crop.artwork)
    loss = (
        PIXEL_WEIGHT * difference.abs().mean() + MEAN_COLOUR_WEIGHT * cells(difference).abs().mean()
    )
    (gradient,) = torch.autograd.grad(loss, pixels)
    return float(loss.detach()), gradient


def random_pair_crop(pair: AlignedPair, side: int, generator: torch.Generator) -> PairCrop:
    """Return a random crop of a pair, at the same position and scale in all its images.

    Of ``CANDIDATE_CROPS`` random positions, the one with the highest mean trust is chosen. Crops
    are neither flipped nor recoloured, because an artist's strokes have directions and depend on
    brightness and colour.

    Args:
        pair: The pair.
        side: The side without the margin, px.
        generator: The source of the random numbers.
    """
    height, width = pair.photo.shape[1:]
    outer = side + 2 * MARGIN
    zoom = ZOOM[0] + (ZOOM[1] - ZOOM[0]) * float(torch.rand((), generator=generator))
    covered = min(round(outer / zoom), height, width)

    def start(length: int) -> int:
        return int(torch.randint(length - covered + 1, (), generator=generator))

    windows = [
        (slice(top, top + covered), slice(left, left + covered))
        for top, left in ((start(height), start(width)) for _ in range(CANDIDATE_CROPS))
    ]
    rows, columns = max(windows, key=lambda window: float(pair.trust[0][window].float().mean()))
    image, artwork, trust = (
        resize(part[None, :, rows, columns].float().div(255), outer, outer, "antialias").clamp(0, 1)
        for part in (pair.photo, pair.artwork, pair.trust)
    )
    inner = slice(MARGIN, -MARGIN)
    return PairCrop(
        image.contiguous(),
        {},
        artwork[..., inner, inner].contiguous(),
        trust[..., inner, inner].contiguous(),
    )
