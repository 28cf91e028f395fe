"""The settings of the built-in methods as typed keyword arguments.

Made from the schemas by scripts/make_keywords.py. Run it after a change of a setting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict

WeightedNames = str | Sequence[str] | Mapping[str, float]
"""Names with or without weights: "a,b:0.5", ["a", "b:0.5"] or {"a": 1, "b": 0.5}."""
Paths = str | Path | Sequence[str | Path]
Regions = str | Sequence[str] | Mapping[str, str | Path] | Mapping[Path, str | Path]
"""Masks and their paintings: "sky.png=starry.jpg", several of these, or a mapping."""


class FrameKeywords(TypedDict, total=False):
    """The settings of the built-in methods that films and live sessions take as well.

    A method refuses those that it doesn't have.
    """

    method: str
    """The algorithm (impasto methods)."""
    print: str | None
    """Size it for that paper instead: A2, 30x40cm, 8x10in."""
    dpi: int | None
    """Dots per inch, written into the file; 300 with print."""
    resize: Literal["antialias", "tutorial"]
    """Resizing of images: bicubic, or as in TensorFlow's tutorial."""
    color: Literal["style", "content", "match", "histogram"]
    """Source of the colours: style is the painting, content the photo; match and histogram
    recolour the painting first, by covariance or distribution.
    """
    region: Regions
    """A part of the picture with a painting of its own: MASK=PAINTING."""
    style_mask: Paths
    """An image, white where the painting counts; one for each painting."""
    trim: float
    """Edge of a painting that is left out, % of its long side: a frame, or the edge of a scan."""
    feather: float
    """Softness of the masks' edges, % of the long side."""
    strength: float
    """0 is the photo, 1 the preset's look, above is wilder."""
    mix: float
    """Share of the painted picture in the result; the rest is photo."""
    style_scale: float
    """Size of the painting, and its strokes, in the picture."""
    device: str
    """Device to compute on: auto, cpu, cuda, cuda:N or mps."""
    precision: Literal["auto", "float32", "bfloat16"]
    """Number format of the network."""
    max_memory: float | str | None
    """Upper limit of the memory, GB (or 800MB)."""
    seamless: bool
    """The picture's edges fit together, as for tiles."""
    weights: str
    """The encoder's weights (impasto models list)."""
    pooling: Literal["max", "avg"]
    """The encoder's pooling."""
    unit_activations: bool
    """Rescale the encoder's layers to a mean activation of 1."""
    content_layers: WeightedNames
    """Layers that represent content, with weights: a,b:0.5."""
    style_layers: WeightedNames
    """Layers that represent style, with weights: a,b:0.5."""
    plain_style_layers: WeightedNames
    """Style layers' weights, on the scale of style_layers, for paintings in which nothing is to
    be recognised; in between, a mixture. By default the same.
    """
    style_loss: WeightedNames
    """Style losses, with weights: gram, moments, w2, swd, nearest."""
    content_loss: Literal["features", "self-similarity"]
    """Compare the features, or how they differ from each other."""
    loss_form: Literal["tutorial", "paper", "relative"]
    """Losses as in the tutorial, as in Gatys' paper, or relative to their targets."""
    style_goal: float
    """Style loss at which style and content pull as their weights say; a style that is harder to
    reach pulls harder, an easier one less. 0: always as the weights say.
    """
    figures: float
    """Weight of the things that a painting shows, such as faces, in its large shapes: 1 as much
    as all else, 0 not at all.
    """
    balance: Literal["weights", "gradient"]
    """Style layers' weights are those of their losses, or their shares of the gradient."""
    content_weight: float
    """Weight of the content loss, alpha."""
    style_weight: float
    """Weight of the style loss, beta."""
    tv_weight: float
    """Weight of the total variation loss, gamma."""
    tv_norm: Literal["l1", "l2"]
    """Total variation: sum of absolute or mean of squared differences."""
    work_size: int | None
    """Long side to paint at, px, if less than size: the rest is enlarged, guided by the photo."""
    enlarge: Literal["guided", "instant"]
    """Enlargement of a picture painted at work_size: guided by the photo's edges, or with finer
    strokes by the method instant.
    """
    init: str | Path
    """The image to start from: content, noise, style, instant, or a file."""
    seed: int
    """Seed of the noise."""
    steps: int
    """Updates of the image, over all scales."""
    until: Literal["steps", "converged"]
    """End of the run: after all steps, or as soon as the loss hardly falls."""
    tolerance: float
    """Converged: the loss falls by less than this share in 20 steps."""
    time_budget: float | None
    """Seconds of computing after which the run ends, even if steps are left."""
    scales: int
    """Sizes to go through, each half of the next; 0: from about 128 px on."""
    underpaint: float
    """Share of the painting's palette that the photo takes before the first step."""
    palette: float
    """Share by which the finished picture's colours are matched to the painting's, by mean and
    covariance.
    """
    detail: float
    """Share of the photo's detail that is added when a larger size starts."""
    step_ratio: float
    """Updates at one scale for each one at the scale before."""
    polish: int
    """Number of steps, at most a third of all, that polish the finished picture: small, averaged
    steps that see it shifted by a few pixels; fewer above 512 px, by step_ratio.
    """
    solver: Literal["adam", "lbfgs"]
    """Optimizer of the image."""
    lr: float | None
    """Step length; by default 0.02 for adam, 1 for lbfgs."""
    adam_beta1: float
    """Decay of Adam's first moment."""
    adam_beta2: float
    """Decay of Adam's second moment."""
    adam_epsilon: float
    """Adam's epsilon."""
    adam_epsilon_form: Literal["tensorflow", "torch"]
    """Epsilon added before or after the second moment's correction."""
    lbfgs_history: int
    """Pairs of vectors that L-BFGS keeps."""
    kernel: Literal["auto", "winograd", "onednn", "cudnn", "plain", "autograd"]
    """Implementation of the convolutions; auto: the fastest one measured here."""
    trace_every: int
    """Record the losses every N steps."""
    statistics: Literal["whole", "thumbnail"]
    """Instant and learned: normalise by the whole picture, or quicker by a small version of it."""


class SettingsKeywords(FrameKeywords, total=False):
    """The settings of the built-in methods. A method refuses those that it doesn't have."""

    size: int
    """Long side of the result, px; 0: as large as the photo."""
    mask: str | Path | None
    """An image, white where to paint; elsewhere the photo stays."""
