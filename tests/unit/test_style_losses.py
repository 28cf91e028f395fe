"""What each style loss means, and that its gradient is its slope."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from recipes import build_optimize

from impasto.losses import wasserstein
from impasto.losses.content import self_similarity_loss
from impasto.losses.moments import Moments, MomentsTap, gram_distance, moments_distance
from impasto.losses.nearest import NearestTap
from impasto.losses.objective import Objective
from impasto.losses.style import MomentsLoss, Region, Style, style_loss
from impasto.losses.wasserstein import (
    SlicedTap,
    _roots_by_eigenvalues,
    _roots_by_iteration,
    gaussian_distance,
)
from impasto.networks.kernels.engine import KEEP, Engine
from impasto.networks.load import load_encoder
from impasto.settings.methods import STYLE_LOSSES

KEPT, BANDS = (KEEP,) * 5, (3, 2, 2, 1, 1)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def gaussian(count: int, mean: torch.Tensor, root: torch.Tensor) -> torch.Tensor:
    """(1, C, 1, n) with exactly this mean and covariance ``root`` · ``root``ᵀ."""
    x = torch.randn(len(mean), count, dtype=torch.float64)
    x = x - x.mean(1, keepdim=True)
    whitened = torch.linalg.inv(torch.linalg.cholesky(x @ x.T / count)) @ x
    return (root @ whitened + mean[:, None])[None, :, None]


def pictures(dtype=torch.float64) -> list[torch.Tensor]:
    """Content, style and image."""
    small = torch.rand(3, 3, 9, 9, dtype=dtype)
    resized = torch.nn.functional.interpolate(small, (48, 56), mode="bicubic")
    return [picture[None] for picture in 0.2 + 0.6 * resized]  # flat areas would be kinks


def left_half(picture: torch.Tensor) -> torch.Tensor:
    mask = torch.zeros_like(picture[:, :1])
    mask[..., : mask.shape[3] // 2] = 1
    return mask


def nearest_feature_loss(features: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
    """Zhang et al. 2022, section 4, for features (1, C, H, W) and samples (C, n)."""
    ours = torch.nn.functional.normalize(features.flatten(2)[0], dim=0)
    theirs = torch.nn.functional.normalize(samples, dim=0)
    return 1 - (theirs.T @ ours).max(dim=0).values.mean()


def test_the_gaussian_distance_is_the_textbooks():
    """Dowson & Landau's formula, with matrix square roots by eigenvalues."""
    mean, root = torch.rand(6, dtype=torch.float64), torch.rand(6, 6, dtype=torch.float64)
    ours, theirs = gaussian(99, mean, root), gaussian(99, mean * 2, root @ root)
    a, b = Moments.of(ours), Moments.of(theirs)

    def sqrt(matrix):
        values, vectors = torch.linalg.eigh(matrix)
        return vectors * values.clamp(min=0).sqrt() @ vectors.T

    half = sqrt(b.covariance)
    expected = (a.mean - b.mean).square().sum() + a.covariance.trace() + b.covariance.trace()
    expected -= 2 * sqrt(half @ a.covariance @ half).trace()
    size = b.mean.square().sum() + b.covariance.trace()
    # The target's last principal components, a thousandth of its variance, are left out.
    assert gaussian_distance(b)(a).item() == pytest.approx((expected / size).item(), rel=0.05)


@pytest.mark.parametrize("distance", [gaussian_distance, moments_distance])
def test_distances_of_moments_vanish_at_their_target(distance):
    f = gaussian(80, torch.rand(5, dtype=torch.float64), torch.eye(5, dtype=torch.float64))
    assert abs(distance(Moments.of(f))(Moments.of(f)).item()) < 1e-9
    assert distance(Moments.of(f))(Moments.of(2 * f)).item() > 0.1


@pytest.mark.parametrize("name", ["gram", "moments", "w2"])
def test_gradients_of_distances(name):
    target = Moments.of(torch.rand(1, 4, 5, 6, dtype=torch.float64))
    loss = style_loss(name)
    assert isinstance(loss, MomentsLoss)
    distance = loss.distance(target, "relative")
    f = torch.rand(1, 4, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: distance(Moments.of(f)), f)


def test_moments_tell_apart_what_a_gram_matrix_mixes():
    """Bright without contrast or dark with contrast: one Gram matrix, two covariances."""
    one = torch.eye(2, dtype=torch.float64)
    none = torch.zeros(2, dtype=torch.float64)
    bright = gaussian(50, torch.tensor([1.0, 0], dtype=torch.float64), one * 0.5)
    gram = Moments.of(bright).gram
    dark = gaussian(50, none, torch.linalg.cholesky(gram))
    assert gram_distance(Moments.of(bright), "relative")(Moments.of(dark)).item() < 1e-9
    assert moments_distance(Moments.of(bright))(Moments.of(dark)).item() > 1


def test_the_sliced_distance_forgets_places_and_sees_shape():
    """Two clusters and one Gaussian of the same moments are the same to moments alone."""
    f = torch.randn(1, 3, 8, 500, dtype=torch.float64)
    clusters = f.sign()
    shuffled = clusters.flatten(2)[..., torch.randperm(4000)].view_as(f)

    def distance(a, b):
        tap = SlicedTap([(b[0].flatten(1), 1.0)])
        tap.look(a, 0)
        return tap.loss().item()

    assert distance(clusters, shuffled) < 1e-12
    assert distance(f, clusters) > 20 * distance(f, torch.randn_like(f))


def test_the_sliced_distance_of_a_shift_is_the_shift():
    f = torch.rand(1, 4, 6, 7, dtype=torch.float64)
    tap = SlicedTap([(f[0].flatten(1), 1.0)])
    tap.look(f + 0.5, 0)
    shift = torch.full((4,), 0.5, dtype=torch.float64)
    along = (tap.directions @ shift).square().mean()
    assert tap.loss().item() == pytest.approx(along.item() / tap.size, rel=1e-6)


def test_nearest_is_zero_where_every_feature_is_the_styles():
    style = torch.rand(1, 5, 6, 7)
    anywhere = style.flatten(2)[..., torch.randint(42, (30,))].view(1, 5, 5, 6)
    samples = style[0].flatten(1)
    assert nearest_feature_loss(anywhere, samples).item() == pytest.approx(0, abs=1e-6)
    other = torch.rand(1, 5, 5, 6)
    tap = NearestTap([samples])
    tap.look(other, 0)
    assert tap.loss().item() == pytest.approx(nearest_feature_loss(other, samples).item(), rel=1e-5)


def test_self_similarity_sees_shapes_not_colours():
    content = torch.rand(6, 20, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    assert self_similarity_loss(rotation @ content * 3, content).item() < 1e-9
    assert self_similarity_loss(content[:, torch.randperm(20)], content).item() > 0.02
    f = torch.rand(6, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: self_similarity_loss(f, content[:, :9]), f)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("bands", [KEPT, BANDS])
@pytest.mark.parametrize("kind", STYLE_LOSSES.names())
def test_the_gradient_of_each_loss_is_its_slope(kind, bands, masked):
    content, style, image = pictures()
    encoder = load_encoder(dtype=torch.float64, unit_activations=True)
    recipe = build_optimize(
        {
            "style_loss": kind,
            "content_loss": "self-similarity" if masked else "features",
            "loss_form": "relative",
            "style_layers": "block1_conv1,block2_conv1:0.5,block3_conv1",
            "content_layers": "block3_conv2",
            "tv_weight": 0.1,
        }
    )
    engine = Engine(encoder, [*recipe.style_layers, *recipe.content_layers], bands=bands)
    part = left_half(image) if masked else None
    objective = Objective(engine, recipe, content, [Region([Style(style)], part)])
    direction = torch.randn_like(image)
    losses, gradient = objective.losses_and_gradient(image)
    step = 1e-7
    ahead = objective.losses(image + step * direction).total
    behind = objective.losses(image - step * direction).total
    slope = (ahead - behind) / (2 * step)
    assert losses.style > 0
    assert slope == pytest.approx((gradient * direction).sum().item(), rel=5e-3)


@pytest.mark.parametrize("kind", STYLE_LOSSES.names())
def test_the_painting_itself_has_the_painting_style(kind):
    content, style, _ = pictures(torch.float32)
    recipe = build_optimize({"style_loss": kind, "loss_form": "relative", "tv_weight": 0})
    engine = Engine(load_encoder(unit_activations=True), ["block5_conv2"])
    objective = Objective(engine, recipe, content, [Region([Style(style)])])
    assert abs(objective.losses(style).style) < 2e-3  # of w2 a thousandth is left out
    assert objective.losses(content).style > 0.02


def test_losses_are_mixed_by_their_weights():
    content, style, image = pictures(torch.float32)
    engine = Engine(load_encoder(), ["block5_conv2"])

    def style_of(style_loss):
        recipe = build_optimize(
            {"style_loss": style_loss, "loss_form": "relative", "style_goal": 0}
        )
        return Objective(engine, recipe, content, [Region([Style(style)])]).losses(image).style

    mixed = style_of({"gram": 2, "w2": 0.5})
    assert mixed == pytest.approx(2 * style_of("gram") + 0.5 * style_of("w2"), rel=1e-4)


def test_the_style_goal_leaves_nearest_alone():
    """A mean cosine distance stays far above the goal, and steepened it would erase the photo."""
    content, style, image = pictures(torch.float32)
    engine = Engine(load_encoder(), ["block5_conv2"])

    def style_of(style_loss, style_goal=0.03):
        recipe = build_optimize({"style_loss": style_loss, "style_goal": style_goal})
        return Objective(engine, recipe, content, [Region([Style(style)])]).losses(image).style

    nearest = style_of("nearest")
    assert nearest == style_of("nearest", style_goal=0) > 0.03
    mixed = style_of({"w2": 1, "nearest": 0.5})
    assert mixed == pytest.approx(style_of("w2") + 0.5 * nearest, rel=1e-4)


def test_styles_are_blended_in_their_statistics():
    content, first, second = pictures(torch.float32)
    engine = Engine(load_encoder(), ["block5_conv2"])
    recipe = build_optimize({"style_loss": "gram", "loss_form": "paper"})
    styles = [Style(first, weight=0.25), Style(second, weight=0.75)]
    both = Objective(engine, recipe, content, [Region(styles)])
    taps = [MomentsTap() for _ in styles]
    for tap, style in zip(taps, styles, strict=True):
        engine.forward(style.rgb, {"block3_conv1": [tap]}, keep=False)
    blended = Moments.blend([(tap.moments, s.weight) for tap, s in zip(taps, styles, strict=True)])
    loss: Any
    (loss,) = (loss for layer, loss in both.style if layer == "block3_conv1")
    assert loss.distance(blended).item() == pytest.approx(0, abs=1e-9)


def test_a_region_sees_nothing_outside_of_it():
    """As in guided Gram matrices: what lies beyond the region's edge doesn't count."""
    content, style, image = pictures(torch.float32)
    recipe = build_optimize({"style_layers": "block1_conv1", "content_weight": 0, "tv_weight": 0})
    engine = Engine(load_encoder(), ["block1_conv1"])
    mask = left_half(image)
    objective = Objective(engine, recipe, content, [Region([Style(style)], mask)])
    changed = image.clone()
    changed[..., 30:] = 0  # 28 px are inside, and a convolution reaches one further
    before, after = (objective.losses(picture).style for picture in (image, changed))
    assert before == pytest.approx(after, rel=1e-5)
    _, gradient = objective.losses_and_gradient(image)
    assert gradient[..., 29:].abs().max() < 1e-5 * gradient.abs().max()
    assert gradient[..., :28].abs().max() > 0


def test_a_style_mask_takes_only_that_part_of_the_painting():
    content, style, image = pictures(torch.float32)
    recipe = build_optimize({"style_layers": "block1_conv1", "loss_form": "relative"})
    engine = Engine(load_encoder(), ["block5_conv2"])
    mask = left_half(style)
    masked = Objective(engine, recipe, content, [Region([Style(style, mask)])])
    other = style.clone()
    other[..., 30:] = 0
    again = Objective(engine, recipe, content, [Region([Style(other, mask)])])
    assert masked.losses(image).style == pytest.approx(again.losses(image).style, rel=1e-5)


def test_balanced_layers_have_their_share_of_the_gradient():
    content, style, _ = pictures(torch.float32)
    weights = {"block1_conv1": 0.5, "block2_conv1": 0.3, "block4_conv1": 0.2}
    engine = Engine(load_encoder(unit_activations=True), ["block5_conv2"])
    recipe = build_optimize({"style_layers": weights, "balance": "gradient"})
    shares = Objective(engine, recipe, content, [Region([Style(style)])]).gradient_shares(content)
    assert shares == pytest.approx(weights, abs=0.01)
    plain = recipe.model_copy(update={"balance": "weights"})
    shares = Objective(engine, plain, content, [Region([Style(style)])]).gradient_shares(content)
    assert shares != pytest.approx(weights, abs=0.05)


def test_roots_by_iteration_are_those_by_eigenvalues():
    """On a GPU the square root of a matrix is computed by matrix products alone."""
    factor = torch.rand(48, 40, dtype=torch.float64) * torch.logspace(0, -3, 48)[:, None]
    matrix = factor @ factor.T  # singular, with eigenvalues from 1e3 down to 1e-3
    ridge = 1e-6 * float(matrix.diagonal().mean())
    trace, inverse = _roots_by_iteration(matrix, ridge)
    expected_trace, expected_inverse = _roots_by_eigenvalues(matrix, ridge)
    assert trace.item() == pytest.approx(expected_trace.item(), rel=1e-9)
    torch.testing.assert_close(inverse, expected_inverse, rtol=1e-6, atol=1e-6)


def test_the_steps_of_a_large_layer_take_turns_with_all_locations(monkeypatch):
    monkeypatch.setattr(wasserstein, "MAX_LOCATIONS", 20)
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(1, 4, 8, 10, generator=generator)
    tap = wasserstein.SlicedTap([(torch.rand(4, 50, generator=generator), 1.0)])
    total = torch.zeros_like(features)
    for step in range(5):
        tap.begin_step(step)
        tap.start()
        tap.look(features, 0)
        tap.loss()
        gradient = torch.zeros_like(features)
        tap.pull(features, gradient, 0)
        pulled = gradient[0].abs().sum(0) > 0
        assert int(pulled.sum()) == 20
        total += gradient
    assert bool((total[0].abs().sum(0) > 0).all())
