"""Learning from pairs of a photo and an artwork that depicts it (Texler et al. 2020).

The network paints random crops of the photo. Each picture is compared with the same crop of the
artwork: the pixels by their absolute difference, and the features of the encoder by their squared
distance. A style loss keeps strokes crisp, which would otherwise be averaged where their places are
a matter of chance; it also sees other photos. Texler et al. train a discriminator for that.
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
from impasto.learning.crops import MARGIN, Crop, random_crop
from impasto.learning.settings import LearnSettings
from impasto.learning.tasks import make_objective
from impasto.learning.tones import cells, fit_tones
from impasto.losses.objective import Losses
from impasto.methods.feed_forward.plan import COARSEST_PX
from impasto.methods.optimize.setup import make_engine
from impasto.runs.job import Job

DETAIL, MEAN_COLOURS = 5.0, 10.0
"""Weights of the mean absolute differences from the artwork: of the pixels, and of the mean colours
of small squares. Strokes whose places are chance can only have the right mean colour."""
TONES = 0.5
"""Weight of the difference of another photo's picture from the expected mean colours."""
CYCLE = 6
"""Draws after which the same losses follow. The encoder takes most of the time of a draw, so most
draws only compare pixels."""
COMPARED_DRAW, UNPAIRED_DRAW, TONED_DRAW = 0, 3, 5
"""Draws of a cycle that differ: a crop of a pair with the encoder, a crop of another photo with it,
and one of which only the mean colours count."""
ZOOM = (0.9, 1.15)
"""Range of the scale of a crop, which changes the size of its strokes as little."""
CANDIDATES = 4
"""Crops of which the one with the most trust is chosen."""


@dataclass(frozen=True, eq=False)
class AlignedPair:
    """A photo and the artwork that depicts it, aligned.

    Attributes:
        photo: The photo, (3, H, W), uint8.
        artwork: The artwork, (3, H, W), uint8.
        trust: How well each place of the artwork fits, (1, H, W), uint8.
    """

    photo: Tensor
    artwork: Tensor
    trust: Tensor

    @property
    def trusted_share(self) -> float:
        """The share of the photo that is trusted."""
        return float(self.trust.float().mean()) / 255

    def as_floats(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the photo, artwork and trust, (1, C, H, W), in [0, 1]."""
        return self.photo[None] / 255, self.artwork[None] / 255, self.trust[None] / 255


@dataclass(frozen=True)
class PairCrop(Crop):
    """A crop of a pair.

    Attributes:
        artwork: The artwork without a margin, (1, 3, S, S), in [0, 1].
        trust: The trust in each of its places, (1, 1, S, S), in [0, 1].
    """

    artwork: Tensor
    trust: Tensor


def make_pair(photo: Picture, artwork: Picture) -> tuple[AlignedPair, bool]:
    """Return a pair at the size in which it is learned, and whether enough of it fits.

    Raises:
        MissingExtraError: OpenCV isn't installed.
    """
    extras.require("video", artwork.name)
    from impasto.learning.alignment import align

    small = photo.fitted(COARSEST_PX, "antialias")
    one, other = (channels_last(as_bytes(picture.rgb))[0].numpy() for picture in (small, artwork))
    found = align(one, other)
    trust = np.round(found.trust * 255).astype(np.uint8)
    pair = AlignedPair(
        _channels_first(one), _channels_first(found.artwork), torch.from_numpy(trust)[None]
    )
    return pair, found.fits


def _channels_first(image: np.ndarray) -> Tensor:
    """Return (H, W, 3) as (3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


class PairTask:
    """Any photo as the artist of the pairs would paint it.

    Args:
        settings: The settings of the training.
        job: The artworks as style images, the recipe of the look, and the device.
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
        generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + draw)
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
            return self._compared(crop, picture, draw)
        tones, gradient = self._tones(crop, picture)
        losses = Losses(tones, 0.0, 0.0, tones)
        if draw % CYCLE == UNPAIRED_DRAW:
            self.unpaired.begin_step(draw)
            seen, of_features = self.unpaired.losses_and_gradient(picture)
            gradient = gradient + of_features
            losses = replace(seen, content=tones, total=seen.total + tones)
        return losses, gradient

    def _tones(self, crop: Crop, picture: Tensor) -> tuple[float, Tensor]:
        """Return the loss of the mean colours of a picture, and its gradient."""
        pixels = picture.detach().requires_grad_()
        loss = TONES * self.tones.loss(pixels, crop.inner)
        (gradient,) = torch.autograd.grad(loss, pixels)
        return float(loss.detach()), gradient

    def _compared(self, crop: PairCrop, picture: Tensor, draw: int) -> tuple[Losses, Tensor]:
        """Return the losses of the picture of a crop of a pair, and their gradient."""
        reconstruction, gradient = _reconstruction(crop, picture)
        losses = Losses(reconstruction, 0.0, 0.0, reconstruction)
        if draw % CYCLE == COMPARED_DRAW:
            # Features are compared everywhere, so the target is the picture where nothing is known.
            target = torch.lerp(picture, crop.artwork, crop.trust)
            self.paired.retarget(self.paired.content_targets(target))
            self.paired.begin_step(draw)
            seen, of_features = self.paired.losses_and_gradient(picture)
            gradient = gradient + of_features
            losses = replace(
                seen, content=seen.content + reconstruction, total=seen.total + reconstruction
            )
        return losses, gradient


def _reconstruction(crop: PairCrop, picture: Tensor) -> tuple[float, Tensor]:
    """Return how far a picture is from the artwork where that is trusted, and the gradient."""
    pixels = picture.detach().requires_grad_()
    difference = crop.trust * (pixels - crop.artwork)
    loss = DETAIL * difference.abs().mean() + MEAN_COLOURS * cells(difference).abs().mean()
    (gradient,) = torch.autograd.grad(loss, pixels)
    return float(loss.detach()), gradient


def random_pair_crop(pair: AlignedPair, side: int, generator: torch.Generator) -> PairCrop:
    """Return a random crop of a pair, with the same place and scale in all its images.

    Of a few random places, the one with the most trust is chosen.

    Nothing else varies: an artist's strokes have directions, and depend on brightness and colour.
    """
    height, width = pair.photo.shape[1:]
    outer = side + 2 * MARGIN
    zoom = ZOOM[0] + (ZOOM[1] - ZOOM[0]) * float(torch.rand((), generator=generator))
    covered = min(round(outer / zoom), height, width)

    def start(length: int) -> int:
        return int(torch.randint(length - covered + 1, (), generator=generator))

    windows = [
        (slice(top, top + covered), slice(left, left + covered))
        for top, left in ((start(height), start(width)) for _ in range(CANDIDATES))
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
