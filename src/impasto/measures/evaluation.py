"""How good is a stylized picture? Numbers that no preset optimises; ``docs/evaluation.md`` explains
each.

The optimiser's own losses can't say: a picture can be bad where they are low. So style and content
are measured at other layers and in other ways, and the palette, roughness and border besides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from impasto.base.errors import ImageError
from impasto.images.color import to_oklab
from impasto.images.limits import MIN_SIDE_PX, Limits
from impasto.images.picture import Picture
from impasto.images.read import Source, read
from impasto.images.sizes import fit_long_side, resize
from impasto.losses.objective import Objective
from impasto.methods.optimize.regions import regions_at
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.methods.optimize.setup import make_engine
from impasto.networks.kernels import selection
from impasto.networks.load import load_encoder
from impasto.runs.job import Job
from impasto.settings.build import build

MAX_LONG_SIDE_PX = 512

STYLE_LAYERS = (
    "block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3",
)  # fmt: skip
CONTENT_LAYERS = ("block3_conv4", "block4_conv4")
"""No preset optimises these layers; a test sees to it."""

DIRECTIONS = 64
QUANTILES = 256
MAX_SAMPLES = 2**16
"""Places, evenly spread, whose features are sorted."""
SEED = 0

LUMA_RGB = (0.299, 0.587, 0.114)
"""ITU-R BT.601, as in the SSIM of Wang et al."""
WINDOW_PX = 11
WINDOW_SIGMA_PX = 1.5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2

FRAME_SHARE = 0.02
"""Width of the frame that is searched for border artefacts, of the picture's short side."""

FLAT = 1e-5
"""Differences of brightness below this are none: they are far below 1/255, one step of a file."""


@dataclass(frozen=True)
class Evaluation:
    """Eight numbers about a stylized picture. With several styles, the first two, ``palette``,
    ``roughness`` and ``border`` are means over the styles.
    """

    style_covariance: float
    """Squared distance of the features' covariances from the painting's, over the square of the
    latter; 0 (same texture) upwards, lower is better, 1 is a picture without any texture."""
    style_wasserstein: float
    """Sliced Wasserstein distance of the features from the painting's, in standard deviations of
    the painting's; 0 upwards, lower is better."""
    content_features: float
    """Squared distance of the features' directions from the photo's, place by place; 0 (same) to 2,
    lower is better."""
    content_ssim: float
    """Structural similarity to the photo's luma; −1 to 1 (same), higher is better."""
    content_edges: float
    """Correlation of edge strength with the photo's; −1 to 1 (same places), higher is better."""
    palette: float
    """Sliced Wasserstein distance of the colours from the painting's, in Oklab units (black to
    white is 1); 0 (same) upwards, lower is better."""
    roughness: float
    """Fine detail, relative to the painting's; 0 upwards, 1 is like the painting, more is noise,
    less is blur."""
    border: float
    """How much the outer 2% stand out, relative to the painting's; 0 upwards, 1 is like the
    painting, more is a frame."""

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


@torch.no_grad()
def evaluate(
    result: Source,
    content: Source,
    styles: Source | Iterable[Source],
    *,
    limits: Limits | None = None,
) -> Evaluation:
    """Measure a stylized picture against the photo and the painting, or paintings, it was made of.

    Each image is a Picture, or anything that ``impasto.read`` takes. They are compared at the
    result's size, at most 512 px: the photo is brought to its height and width, a painting to its
    long side. In float32 on the CPU with the default weights, whatever the picture was made with,
    so that numbers can be compared.

    Raises ImageError, WeightsError.

    >>> impasto.evaluate("stylized.png", "photo.jpg", "painting.jpg").content_ssim
    """
    made, photo, paintings = _read_all(result, content, styles, limits)
    long_side = min(MAX_LONG_SIDE_PX, max(made.height, made.width))
    image = _fitted(made, long_side)  # (1, 3, H, W)
    target = resize(photo.rgb, image.shape[-2], image.shape[-1], "antialias")  # (1, 3, H, W)

    features = load_encoder()(image, (*STYLE_LAYERS, *CONTENT_LAYERS))
    own = _Look.of(image, features)
    distances = []
    for painting in paintings:
        rgb = _fitted(painting, long_side)
        distances.append(own.against(_Look.of(rgb, load_encoder()(rgb, STYLE_LAYERS))))
    content_features = load_encoder()(target, CONTENT_LAYERS)
    return Evaluation(
        **{name: _mean(distance[name] for distance in distances) for name in distances[0]},
        content_features=_mean(
            unit_distance(features[layer], content_features[layer]) for layer in CONTENT_LAYERS
        ),
        content_ssim=ssim(luma(image), luma(target)),
        content_edges=edge_agreement(luma(image), luma(target)),
    )


@dataclass(frozen=True)
class Costs:
    """What the paper minimises, of any picture; lower is better. See docs/evaluation.md."""

    content: float
    """Equation 1 at block4_conv2: half the squared distance of the features from the photo's."""
    style: float
    """Equation 5: the mean over the five layers of the distance of the Gram matrices (4)."""
    total: float
    """Equation 7, α / β = 1e-3: 1e-3 · content + style."""

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


@torch.no_grad()
def costs(
    result: Source,
    content: Source,
    styles: Source | Iterable[Source],
    *,
    limits: Limits | None = None,
) -> Costs:
    """Content, style and total cost of a picture as in Gatys, Ecker & Bethge 2016, with the layers,
    weights and average pooling of the preset ``gatys``. Images, sizes and errors as for
    ``evaluate``; several styles are blended.

    >>> impasto.costs("stylized.png", "photo.jpg", "painting.jpg").total
    """
    made, photo, paintings = _read_all(result, content, styles, limits)
    long_side = min(MAX_LONG_SIDE_PX, max(made.height, made.width))
    image = _fitted(made, long_side)
    height, width = image.shape[-2:]
    recipe = OptimizeSettings.of(build(preset="gatys"))
    job = Job(
        recipe=recipe,
        content=replace(photo, rgb=resize(photo.rgb, height, width, "antialias"), alpha=None),
        styles=tuple(replace(p, rgb=_fitted(p, long_side), alpha=None) for p in paintings),
        style_weights=(1 / len(paintings),) * len(paintings),
        device=selection.choose("cpu", "float32", "guess"),
    )
    objective = Objective(make_engine(job), recipe, job.content.rgb, regions_at(job, height, width))
    losses = objective.losses(image)
    return Costs(losses.content / recipe.content_weight, losses.style, losses.total)


def _read_all(
    result: Source, content: Source, styles: Source | Iterable[Source], limits: Limits | None
) -> tuple[Picture, Picture, list[Picture]]:
    sources: list[Source] = list(styles) if isinstance(styles, (list, tuple)) else [styles]  # type: ignore[list-item]
    if not sources:
        raise ImageError("no style image was given; at least one is needed")
    made, photo, *paintings = (
        read(source, limits=limits) for source in (result, content, *sources)
    )
    return made, photo, paintings


@dataclass(frozen=True)
class _Look:
    """What of a picture doesn't depend on where things are."""

    layers: Mapping[str, Distribution]
    colours: Distribution
    roughness: float
    border: float

    @classmethod
    def of(cls, image: Tensor, features: Mapping[str, Tensor]) -> _Look:
        return cls(
            layers={layer: Distribution.of(features[layer]) for layer in STYLE_LAYERS},
            colours=Distribution.of(to_oklab(image)),
            roughness=roughness(luma(image)),
            border=border(to_oklab(image)),
        )

    def against(self, painting: _Look) -> dict[str, float]:
        """The fields of an Evaluation that are about the style."""
        pairs = [(self.layers[layer], painting.layers[layer]) for layer in STYLE_LAYERS]
        return {
            "style_covariance": _mean(_covariance_distance(a, b) for a, b in pairs),
            "style_wasserstein": _mean(sliced_wasserstein(a, b) / b.spread for a, b in pairs),
            "palette": sliced_wasserstein(self.colours, painting.colours),
            "roughness": _ratio(self.roughness, painting.roughness),
            "border": _ratio(self.border, painting.border),
        }


@dataclass(frozen=True)
class Distribution:
    """How the vectors of an image, (1, C, H, W), are distributed, wherever they are.

    ``quantiles`` are those of the vectors' shadows on D random directions.
    """

    covariance: Tensor  # (C, C)
    quantiles: Tensor  # (D, Q)

    @classmethod
    def of(cls, features: Tensor) -> Distribution:
        flat = features[0].flatten(1)  # (C, L)
        centred = flat - flat.mean(dim=1, keepdim=True)
        generator = torch.Generator().manual_seed(SEED)
        directions = torch.randn(DIRECTIONS, flat.shape[0], generator=generator)
        directions /= directions.norm(dim=1, keepdim=True)  # (D, C)
        sample = flat[:, :: 1 + (flat.shape[1] - 1) // MAX_SAMPLES]  # sorting more takes seconds
        shadows = (directions @ sample).sort(dim=1).values  # (D, n)
        return cls((centred @ centred.T / flat.shape[1]).double(), _quantiles(shadows).double())

    @property
    def spread(self) -> float:
        """Root mean square distance from the mean, never zero."""
        return max(float(self.covariance.trace().sqrt()), FLAT)


def _quantiles(values: Tensor) -> Tensor:
    """The middles of QUANTILES equal shares of sorted ``values`` (D, n) → (D, Q)."""
    last = values.shape[1] - 1
    middles = (torch.arange(QUANTILES, dtype=torch.float64) + 0.5) / QUANTILES
    places = (middles * (last + 1) - 0.5).clamp(0, last)
    below = places.long()
    above = (below + 1).clamp_max(last)
    return values[:, below].lerp(values[:, above], (places - below).float())


def _covariance_distance(a: Distribution, b: Distribution) -> float:
    """‖A − B‖² / ‖B‖² of the covariances (Frobenius norms)."""
    difference = (a.covariance - b.covariance).square().sum()
    return float(difference / b.covariance.square().sum().clamp_min(FLAT**4))


def sliced_wasserstein(a: Distribution, b: Distribution) -> float:
    """How far the vectors of ``a`` have to move to be distributed as those of ``b``
    (Bonneel et al. 2015): the mean over directions of the squared distance between quantiles, times
    C, rooted. The factor C makes a shift by a vector v come out as |v|, but for sampling.
    """
    channels = a.covariance.shape[0]
    return float((channels * (a.quantiles - b.quantiles).square().mean()).sqrt())


def unit_distance(a: Tensor, b: Tensor) -> float:
    """The mean over places of |â − b̂|², for features (1, C, H, W) scaled to unit length at each
    place: equation 1 of Zhang et al. 2018 (LPIPS) with equal weights. 0 to 2 after a ReLU.
    """
    difference = functional.normalize(a.double()) - functional.normalize(b.double())
    return float(difference.square().sum(dim=1).mean())


def luma(image: Tensor) -> Tensor:
    """Brightness as encoded in sRGB, 0 to 1: (1, 3, H, W) → (1, 1, H, W), float64."""
    weights = torch.tensor(LUMA_RGB, dtype=torch.float64).view(1, 3, 1, 1)
    return (image.double() * weights).sum(dim=1, keepdim=True)


def ssim(a: Tensor, b: Tensor) -> float:
    """Structural similarity (Wang et al. 2004, equation 13) of two lumas (1, 1, H, W), with the
    paper's Gaussian window, without its optional downsampling.
    """
    mean_a, mean_b = _blurred(a), _blurred(b)
    variances = _blurred(a * a) - mean_a * mean_a + (_blurred(b * b) - mean_b * mean_b)
    covariance = _blurred(a * b) - mean_a * mean_b
    brightness = (2 * mean_a * mean_b + SSIM_C1) / (mean_a * mean_a + mean_b * mean_b + SSIM_C1)
    structure = (2 * covariance + SSIM_C2) / (variances + SSIM_C2)
    return float((brightness * structure).mean())


def edge_agreement(a: Tensor, b: Tensor) -> float:
    """The correlation over all places of the slope of two blurred lumas (1, 1, H, W).

    1 if both are flat, 0 if only one is: there are no edges to agree on.
    """
    slope_a, slope_b = (_slope(_blurred(image)) for image in (a, b))
    centred_a, centred_b = slope_a - slope_a.mean(), slope_b - slope_b.mean()
    squares_a, squares_b = centred_a.square().sum(), centred_b.square().sum()
    flat_a, flat_b = (bool(slope.max() < FLAT) for slope in (slope_a, slope_b))
    if flat_a or flat_b:
        return float(flat_a and flat_b)
    return float((centred_a * centred_b).sum() / (squares_a * squares_b).sqrt())


def _slope(image: Tensor) -> Tensor:
    """Length of the gradient, by central differences: (1, 1, H, W) → (1, 1, H−2, W−2)."""
    x = (image[..., 1:-1, 2:] - image[..., 1:-1, :-2]) / 2
    y = (image[..., 2:, 1:-1] - image[..., :-2, 1:-1]) / 2
    return (x.square() + y.square()).sqrt()


def _blurred(image: Tensor) -> Tensor:
    """The Gaussian-weighted mean around each place whose window fits: (1, 1, H, W) →
    (1, 1, H−10, W−10).
    """
    offsets = torch.arange(WINDOW_PX, dtype=image.dtype) - WINDOW_PX // 2
    window = torch.exp(-offsets.square() / (2 * WINDOW_SIGMA_PX**2))
    window = window / window.sum()
    rows = functional.conv2d(image, window.view(1, 1, 1, -1))
    return functional.conv2d(rows, window.view(1, 1, -1, 1))


def roughness(image: Tensor) -> float:
    """The mean size of the Laplacian of a luma (1, 1, H, W): what is finer than a few pixels."""
    around = image[..., 1:-1, 2:] + image[..., 1:-1, :-2] + image[..., 2:, 1:-1]
    around = around + image[..., :-2, 1:-1]
    return float((around - 4 * image[..., 1:-1, 1:-1]).abs().mean())


def border(image: Tensor) -> float:
    """How much colour (1, 3, H, W) changes from the frame to what lies just inside it, over how
    much it changes across the same distance elsewhere; root mean squares.
    """
    width = max(1, round(FRAME_SHARE * min(image.shape[-2:])))
    frame, inside = [], []
    for way in (image, image.mT):
        squares = (way[..., width:, :] - way[..., :-width, :]).square().sum(dim=1)
        frame += [squares[:, :width].flatten(), squares[:, -width:].flatten()]
        inside.append(squares[:, width:-width].flatten())
    energy, usual = (float(torch.cat(parts).double().mean()) for parts in (frame, inside))
    return _ratio(energy**0.5, usual**0.5)


def _fitted(picture: Picture, long_side: int) -> Tensor:
    height, width = fit_long_side(picture.height, picture.width, long_side, "antialias")
    if min(height, width) < MIN_SIDE_PX:
        raise ImageError(
            f"{picture.name} is {picture.width}×{picture.height} px, and would be compared at"
            f" {width}×{height} px; both sides need at least {MIN_SIDE_PX} px"
        )
    return resize(picture.rgb, height, width, "antialias")


def _ratio(a: float, b: float) -> float:
    """a / b, and 1 where both are nothing."""
    return (a + FLAT) / (b + FLAT)


def _mean(numbers: Iterable[float]) -> float:
    every = list(numbers)
    return sum(every) / len(every)
