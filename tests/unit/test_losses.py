from __future__ import annotations

import pytest
import torch
from recipes import build_optimize

from impasto.losses.content import ContentTap
from impasto.losses.gram import gram_matrix, style_layer_loss
from impasto.losses.layers import Form, shares
from impasto.losses.objective import Objective
from impasto.losses.style import Region, Style
from impasto.losses.total_variation import deltas, total_variation
from impasto.networks.kernels.engine import Engine
from impasto.networks.load import load_encoder
from impasto.networks.vgg19 import VGG19


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def engine(encoder: VGG19 | None = None) -> Engine:
    return Engine(encoder or load_encoder(), ["block5_conv2"])


def features(*shape) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.float64, requires_grad=True)


def by_equation(f: torch.Tensor, p: torch.Tensor, form: Form) -> torch.Tensor:
    """The content loss of features F and P, written as in the papers, a scalar."""
    squares = ((f - p) ** 2).sum()
    return {
        "tutorial": squares / p.numel(),  # tf.reduce_mean((F - P)**2)
        "paper": squares / 2,  # Gatys et al. 2016, equation 1
        "relative": squares / (p**2).sum(),
    }[form]


def in_bands(
    tap: ContentTap, f: torch.Tensor, heights: list[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss of features F and its gradient, seen in bands of rows."""
    tops = [sum(heights[:index]) for index in range(len(heights))]
    gradient = torch.zeros_like(f)
    tap.start()
    for top, band in zip(tops, f.split(heights, dim=2), strict=True):
        tap.look(band, top)
    loss = tap.loss()
    for top, band in zip(tops, f.split(heights, dim=2), strict=True):
        tap.pull(band, gradient[:, :, top : top + band.shape[2]], top)
    return loss, gradient


BANDS = [[4], [3, 1]]
"""Heights of the bands in which 4 rows are seen."""


class ContentLoss(torch.autograd.Function):
    """The loss and the gradient of a ContentTap as autograd takes them."""

    @staticmethod
    def forward(ctx, f, tap, heights):
        loss, gradient = in_bands(tap, f, heights)
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    def backward(ctx, slope):
        (gradient,) = ctx.saved_tensors
        return slope * gradient, None, None


def test_gram_matrix_is_what_the_equation_says():
    f = torch.rand(2, 3, 4, 5)
    expected = torch.einsum("ncij,ndij->ncd", f, f) / 20
    torch.testing.assert_close(gram_matrix(f), expected)


def test_gram_matrix_forgets_where_things_are():
    f = torch.rand(1, 3, 8, 8)
    shuffled = f.flatten(2)[..., torch.randperm(64)].view_as(f)
    torch.testing.assert_close(gram_matrix(f), gram_matrix(shuffled))


def test_gram_matrix_is_computed_in_float32_from_bfloat16():
    assert gram_matrix(torch.rand(1, 3, 8, 8).bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("form", ["tutorial", "paper", "relative"])
def test_gradients(form):
    target = gram_matrix(features(1, 3, 4, 5)).detach()
    assert torch.autograd.gradcheck(
        lambda f: style_layer_loss(gram_matrix(f), target, form), features(1, 3, 4, 5)
    )


@pytest.mark.parametrize("heights", BANDS)
@pytest.mark.parametrize("form", ["tutorial", "paper", "relative"])
def test_gradient_of_the_content_loss(form, heights):
    tap = ContentTap([features(1, 3, 4, 5).detach()], form)
    assert torch.autograd.gradcheck(
        lambda f: ContentLoss.apply(f, tap, heights), features(1, 3, 4, 5)
    )


@pytest.mark.parametrize("heights", BANDS)
@pytest.mark.parametrize("form", ["tutorial", "paper", "relative"])
def test_the_content_loss_is_what_the_equation_says(form, heights):
    f, p = features(1, 3, 4, 5), features(1, 3, 4, 5).detach()
    expected = by_equation(f, p, form)
    (slope,) = torch.autograd.grad(expected, f)
    tap = ContentTap([p], form)
    tap.weight = 3.0  # a factor of the gradient alone
    loss, gradient = in_bands(tap, f.detach(), heights)
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(gradient, 3 * slope)


def test_the_content_loss_of_a_view_is_relative_to_the_image_itself():
    f, image, view = (torch.rand(1, 3, 4, 5, dtype=torch.float64) for _ in range(3))
    tap = ContentTap([image, view], "relative")
    tap.begin_step(3)  # sees the second view
    loss, _ = in_bands(tap, f, [4])
    torch.testing.assert_close(loss, ((f - view) ** 2).sum() / (image**2).sum())


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_gradient_of_total_variation(norm):
    assert torch.autograd.gradcheck(lambda x: total_variation(x, norm), features(1, 3, 5, 6))


@pytest.mark.parametrize("form", ["tutorial", "paper", "relative"])
def test_losses_are_zero_for_equal_images(form):
    f = features(1, 3, 4, 5)
    for heights in BANDS:
        loss, gradient = in_bands(ContentTap([f.detach()], form), f.detach(), heights)
        assert loss.item() == 0
        assert gradient.abs().max() < 1e-15  # its two parts are added one by one
    assert style_layer_loss(gram_matrix(f), gram_matrix(f).detach(), form).item() == 0


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_a_flat_image_has_no_variation(norm):
    assert total_variation(torch.full((1, 3, 8, 9), 0.3), norm).item() == 0


def test_total_variation_counts_every_difference():
    image = torch.zeros(1, 1, 3, 3)
    image[0, 0, 1, 1] = 1  # four neighbours differ by 1
    assert total_variation(image, "l1").item() == 4
    assert total_variation(image, "l2").item() == pytest.approx(2 / 6 + 2 / 6)


def test_deltas_are_neighbour_differences():
    image = torch.arange(12.0).view(1, 1, 3, 4)
    x, y = deltas(image)
    assert (x == 1).all()
    assert (y == 4).all()


def test_the_papers_forms():
    f, p = torch.rand(1, 3, 4, 5), torch.rand(1, 3, 4, 5)
    content_loss, _ = in_bands(ContentTap([p], "paper"), f, [4])
    assert content_loss.item() == pytest.approx(0.5 * (f - p).square().sum().item())
    channels, places = 3, 20
    unnormalised = (gram_matrix(f) - gram_matrix(p)) * places
    expected = unnormalised.square().sum() / (4 * channels**2 * places**2)
    assert style_layer_loss(gram_matrix(f), gram_matrix(p), "paper").item() == pytest.approx(
        expected.item()
    )


def test_layers_are_averaged_in_the_tutorial_and_summed_in_the_paper():
    weights = {"a": 2.0, "b": 3.0, "c": 0.0}
    assert shares(weights, "tutorial") == pytest.approx({"a": 2 / 3, "b": 1})
    assert shares(weights, "paper") == {"a": 2, "b": 3}
    assert shares(weights, "relative") == pytest.approx({"a": 0.4, "b": 0.6})


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(1, 3, 40, 48, generator=generator) for _ in range(3)]


def test_the_objective_is_the_weighted_sum(images):
    content, style, image = images
    encoder = load_encoder()
    recipe = build_optimize(
        {"content_weight": 3, "style_weight": 5, "tv_weight": 7}, preset="tutorial"
    )
    losses = Objective(engine(encoder), recipe, content, [Region([Style(style)])]).losses(image)
    ones = build_optimize(
        {"content_weight": 1, "style_weight": 1, "tv_weight": 1}, preset="tutorial"
    )
    plain = Objective(engine(encoder), ones, content, [Region([Style(style)])]).losses(image)
    assert losses.content == pytest.approx(3 * plain.content, rel=1e-5)
    assert losses.style == pytest.approx(5 * plain.style, rel=1e-5)
    assert losses.tv == pytest.approx(7 * plain.tv, rel=1e-5)
    assert losses.total == pytest.approx(losses.content + losses.style + losses.tv)


def test_the_objectives_gradient_is_its_slope(images):
    content, style, image = (picture.double() for picture in images)
    encoder = load_encoder(dtype=torch.float64)
    recipe = build_optimize({"tv_weight": 1}, preset="tutorial")
    objective = Objective(engine(encoder), recipe, content, [Region([Style(style)])])
    direction = torch.randn_like(image)
    _, gradient = objective.losses_and_gradient(image)
    step = 1e-6
    ahead = objective.losses(image + step * direction).total
    behind = objective.losses(image - step * direction).total
    slope = (ahead - behind) / (2 * step)
    assert slope == pytest.approx((gradient * direction).sum().item(), rel=1e-3)


def test_content_and_style_loss_vanish_at_their_own_images(images):
    content, style, _ = images
    recipe = build_optimize(preset="tutorial")
    objective = Objective(engine(), recipe, content, [Region([Style(style)])])
    assert objective.losses(content).content == 0
    assert objective.losses(style).style == 0
