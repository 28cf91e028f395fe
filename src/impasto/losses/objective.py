"""The objective: the weighted sum of the content, style and total variation losses."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import cycle
from typing import Any

import torch
from torch import Tensor

from impasto.images.seam import folded, framed, mirrored, wrapped
from impasto.images.shift import Shift, Views
from impasto.images.sizes import resize
from impasto.losses.content import ContentTap, SelfSimilarityTap
from impasto.losses.layers import LayerLoss, Recorder, guide_for, shares
from impasto.losses.style import Region, Style, style_loss
from impasto.losses.total_variation import total_variation
from impasto.networks.kernels.engine import FeatureEngine, Tap, Taps
from impasto.networks.kernels.graph import FunctionGraph
from impasto.networks.layers import reduction
from impasto.settings.objective import ObjectiveSettings

Key = tuple[str, str]
"""The name of a layer and of a style loss."""
SIDE_STREAMS = 3
"""Number of CUDA streams on which the style losses are computed side by side."""
TERMS = ("content", "style", "tv", "total")


@dataclass(frozen=True)
class Losses:
    """The weighted terms of the objective and their sum.

    Attributes:
        content: The content loss.
        style: The style loss.
        tv: The total variation loss.
        total: The sum of all terms, including the temporal loss of a film.
        layers: The parts of the content and style loss,
            ``{"content block4_conv2": …, "style block1_conv1": …}``, and in a film ``"temporal"``.
    """

    content: float
    style: float
    tv: float
    total: float
    layers: Mapping[str, float] = field(default_factory=dict, compare=False, repr=False)

    @property
    def finite(self) -> bool:
        """Whether the sum is a finite number."""
        return math.isfinite(self.total)

    def as_dict(self) -> dict[str, float]:
        """Return the terms and their sum."""
        return {name: getattr(self, name) for name in TERMS}


@dataclass(frozen=True, eq=False)
class Anchor:
    """A picture to which the image is held: the warped previous frame of a film.

    It adds the temporal loss of Ruder et al. 2016, equation 8.

    Attributes:
        picture: The picture, (1, 3, H, W).
        trust: How strongly each place is held, 0 to 1, (1, 1, H, W).
        weight: The weight of the loss.
    """

    picture: Tensor
    trust: Tensor
    weight: float

    def at(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of an image (1, 3, h, w), a 0-dim tensor, and its gradient."""
        height, width = image.shape[-2:]
        target, trust = (
            resize(part, height, width, "antialias").to(image)
            for part in (self.picture, self.trust)
        )
        pulled = trust * (image - target)
        scale = self.weight / image.numel()
        return scale * (pulled * (image - target)).sum(), 2 * scale * pulled


class Objective:
    """α·content + β·style + γ·tv of an image, against one content image and one or more styles
    (Gatys et al. 2016, equation 7; total variation as in the TensorFlow tutorial).

    The styles of a region are blended in the quantities that a loss compares: moments, quantiles or
    features. The loss of a region is weighted by its area. ``ObjectiveSettings`` defines the
    meaning of ``strength``. The network sees a seamless picture, and its content image, continued
    by their opposite edges.

    ``recipe.style_goal`` makes the style loss steeper, see ``steepened``: a style that is hard to
    reach pulls harder, and a style that is reached leaves more of the content.

    Max pooling sees an image on a fixed grid, which can leave a mesh in the result. An image that
    is optimised in several shifted views has no mesh.

    On CUDA an evaluation is captured as a graph, see ``networks/kernels/graph.py``.

    Args:
        engine: The encoder.
        recipe: The layers, losses and weights.
        content: The content image, (1, 3, H, W), RGB in [0, 1].
        regions: The regions of the picture and their styles.
        anchor: The picture to which the image is held, of a film.
        shifts: The shifts of the image, px down and right. ``begin_step`` selects one of them.
    """

    def __init__(
        self,
        engine: FeatureEngine,
        recipe: ObjectiveSettings,
        content: Tensor,
        regions: Sequence[Region],
        anchor: Anchor | None = None,
        shifts: Sequence[Shift] = ((0, 0),),
    ) -> None:
        self.engine, self.recipe, self.anchor = engine, recipe, anchor
        self.tv_weight = recipe.tv_weight * recipe.finish_strength
        height, width = content.shape[-2:]
        self.views = Views(shifts, height, width, content.device, seamless=recipe.seamless)
        losses = [loss for region in regions for loss in self._style_losses(region, content)]
        self.style = [(layer, loss) for layer, loss, _ in losses]
        self.with_goal = [index for index, (*_, has_goal) in enumerate(losses) if has_goal]
        self.painted_area = sum(_area(region) for region in regions)
        self.content = list(self._content_losses(content, len(shifts)))
        self.taps = _by_layer([*self.content, *self.style])
        self.begin_step(0)
        if recipe.balance == "gradient":
            self._balance(content)
        self.style_weights = [loss.weight for _, loss in self.style]
        self.graph = FunctionGraph()

    @property
    def graph_failure(self) -> str | None:
        """Why evaluations run without a CUDA graph, if capturing one failed."""
        return self.graph.failure

    def forget_graph(self) -> None:
        """Release the CUDA graph and its memory, before the engine's bands change."""
        self.graph.forget()

    def begin_step(self, step: int) -> None:
        """Update whatever changes from step to step: the view, and the state of the losses."""
        self.views.select(step)
        for _, loss in (*self.content, *self.style):
            loss.begin_step(step)

    def content_targets(self, content: Tensor) -> dict[str, Tensor]:
        """Return the content features of an image (1, 3, H, W) by layer, for ``retarget``."""
        recorders = {layer: Recorder() for layer, _ in self.content}
        self.engine.forward(
            self._network_input(content), _by_layer(list(recorders.items())), keep=False
        )
        return {layer: recorder.features() for layer, recorder in recorders.items()}

    def retarget(self, targets: Mapping[str, Tensor]) -> None:
        """Replace the content image by another one of the same size.

        Args:
            targets: The features of the new content image, from ``content_targets``.
        """
        for layer, loss in self.content:
            loss.retarget(targets[layer])

    def losses(self, image: Tensor) -> Losses:
        """Return the weighted terms for ``image`` (1, 3, H, W)."""
        self._forward(image, keep=False)
        terms, _ = self._terms_and_slope(image)
        return self.read(terms)

    def losses_and_gradient(self, image: Tensor) -> tuple[Losses, Tensor]:
        """Return the weighted terms, and the gradient of their sum with respect to ``image``."""
        terms, gradient = self.evaluate(image)
        return self.read(terms), gradient

    def evaluate(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the terms for ``read``, and the gradient of their sum, both on the device.

        The terms are valid until the next call.
        """
        return self.graph.run(self._evaluate, image)

    def _evaluate(self, image: Tensor) -> tuple[Tensor, Tensor]:
        done = self._forward(image, keep=True)
        terms, gradient = self._terms_and_slope(image)
        if self.taps:
            gradient = gradient + self._image_gradient(self.engine.backward(done, self.taps))
        return terms, gradient

    def gradient_shares(self, image: Tensor) -> dict[str, float]:
        """Return each style layer's share of the gradient of the style loss at ``image``.

        The share is the norm of the layer's gradient with respect to the pixels, divided by the sum
        of all layers' norms.
        """
        norms: dict[str, float] = {}
        for layer in dict.fromkeys(layer for layer, _ in self.style):
            losses = [loss for name, loss in self.style if name == layer]
            taps: Taps = {layer: losses}
            for loss in losses:
                loss.start()
            done = self.engine.forward(self._network_input(image), taps)
            for loss in losses:
                loss.loss()
            norms[layer] = float(self._image_gradient(self.engine.backward(done, taps)).norm())
        total = sum(norms.values())
        return {layer: norm / total if total else 0.0 for layer, norm in norms.items()}

    def _forward(self, image: Tensor, *, keep: bool) -> Any:
        for _, loss in (*self.content, *self.style):
            loss.start()
        if not self.taps:
            return None  # total variation alone needs no network
        return self.engine.forward(self._network_input(image), self.taps, keep=keep)

    def _network_input(self, image: Tensor) -> Tensor:
        """Return the selected view of an image; a seamless one is continued by its edges."""
        view = self.views.of(image)
        return wrapped(view) if self.recipe.seamless else view

    def _image_gradient(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the image, given the gradient of the network's input."""
        return self.views.adjoint(folded(gradient) if self.recipe.seamless else gradient)

    def _terms_and_slope(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the terms after a forward pass, and the gradient of those that need no network.

        The terms (n,) are weighted: total variation, the temporal loss, each content loss, and each
        style loss.
        """
        with torch.enable_grad():
            pixels = image.detach().requires_grad_()
            variation = self.tv_weight * total_variation(
                pixels, self.recipe.tv_norm, seamless=self.recipe.seamless
            )
            (slope,) = torch.autograd.grad(variation, pixels)
        temporal = variation.new_zeros(())
        if self.anchor is not None:
            temporal, anchor_gradient = self.anchor.at(image.detach())
            slope = slope + anchor_gradient
        content = [loss.weight * loss.loss() for _, loss in self.content]
        style = self._steepen(
            [
                weight * part
                for weight, part in zip(self.style_weights, self._style_parts(), strict=True)
            ]
        )
        return torch.stack([variation.detach(), temporal, *content, *style]), slope

    def _style_parts(self) -> list[Tensor]:
        """Return the style losses. A GPU computes them side by side, because each one is small."""
        if self.views.selected[0].device.type != "cuda":
            return [loss.loss() for _, loss in self.style]
        current, parts = torch.cuda.current_stream(), []
        for stream in _side_streams():
            stream.wait_stream(current)
        for stream, (_, loss) in zip(cycle(_side_streams()), self.style, strict=False):
            with torch.cuda.stream(stream):
                parts.append(loss.loss())
        for stream in _side_streams():
            current.wait_stream(stream)
        return parts

    def read(self, terms: Tensor) -> Losses:
        """Return the terms of ``evaluate`` as numbers. This waits for the device."""
        names = [f"content {layer}" for layer, _ in self.content]
        names += [f"style {layer}" for layer, _ in self.style]
        tv, temporal, *numbers = terms.tolist()
        layers: dict[str, float] = defaultdict(float)
        for name, number in zip(names, numbers, strict=True):
            layers[name] += number  # several losses and regions may share a layer
        content, style = (
            sum(number for name, number in layers.items() if name.startswith(term))
            for term in ("content", "style")
        )
        if self.anchor is not None:
            layers["temporal"] = temporal
        return Losses(content, style, tv, content + style + tv + temporal, dict(layers))

    def _steepen(self, parts: list[Tensor]) -> list[Tensor]:
        """Return the parts of the style loss, scaled so that they sum to the steepened loss.

        The weights of the losses, and with them their gradients, are scaled by the slope of the
        steepened loss.
        """
        recipe = self.recipe
        unit = recipe.style_strength * self.painted_area
        if recipe.loss_form != "relative" or not (recipe.style_goal and self.with_goal and unit):
            return parts
        total = torch.stack([parts[index] for index in self.with_goal]).sum() / unit
        ratio, slope = steepened(total, recipe.style_goal)
        for index in self.with_goal:
            self.style[index][1].weight = self.style_weights[index] * slope
            parts[index] = parts[index] * ratio
        return parts

    def _content_losses(
        self, content: Tensor, views: int
    ) -> Iterator[tuple[str, ContentTap | SelfSimilarityTap]]:
        recipe = self.recipe
        if not recipe.content_weight:
            return
        weights = shares(recipe.content_layers, recipe.loss_form)
        targets: dict[str, list[Tensor]] = {layer: [] for layer in weights}
        for view in range(views):
            self.views.select(view)
            recorders = {layer: Recorder() for layer in weights}
            shown = self._network_input(content)
            self.engine.forward(shown, _by_layer(list(recorders.items())), keep=False)
            for layer, recorder in recorders.items():
                targets[layer].append(recorder.features())
        for layer, of_views in targets.items():
            loss = (
                ContentTap(of_views, recipe.loss_form)
                if recipe.content_loss == "features"
                else SelfSimilarityTap(of_views)
            )
            loss.weight = recipe.content_weight * weights[layer]
            yield layer, loss

    def _style_losses(
        self, region: Region, content: Tensor
    ) -> Iterator[tuple[str, LayerLoss, bool]]:
        """Yield each loss with its layer, and whether the style goal makes it steeper."""
        recipe = self.recipe
        weight = recipe.style_strength
        area = _area(region)
        if not weight * area:
            return
        layer_weights = shares(recipe.style_layers, recipe.loss_form)
        kinds = {kind: share for kind, share in recipe.style_loss.items() if share}
        mask = region.mask
        if recipe.seamless:  # the continuation repeats the picture, which counts once
            mask = framed(mask, content)
        shape = self._network_input(content).shape
        gathered: dict[Key, list[tuple[Tap, float]]] = defaultdict(list)
        for style in region.styles:
            taps = self._gather(style, list(layer_weights), list(kinds))
            for key, tap in taps.items():
                gathered[key].append((tap, style.weight))
        for layer in layer_weights:
            guide = _guide(mask, layer, shape)
            if mask is not None and guide is None:
                continue  # the region is too small for this layer
            for kind, share in kinds.items():
                family = style_loss(kind)
                loss = family.layer_loss(gathered[layer, kind], recipe.loss_form, guide)
                loss.weight = weight * area * layer_weights[layer] * share
                yield layer, loss, family.has_goal

    def _gather(self, style: Style, layers: Sequence[str], kinds: Sequence[str]) -> dict[Key, Tap]:
        """Collect the statistics of a style image for each layer and kind of loss.

        The zero padding at an image's border changes the features there. A seamless picture has no
        border and would imitate these features with coloured specks. Therefore its style image is
        continued by its reflection, and the statistics leave the reflection out.
        """
        rgb = mirrored(style.rgb) if self.recipe.seamless else style.rgb
        height, width = rgb.shape[-2:]
        taps: dict[Key, Tap] = {}
        for layer in layers:
            size = (height // reduction(layer)) * (width // reduction(layer))
            mask = style.mask_in(layer)
            if self.recipe.seamless:
                mask = framed(mask, style.rgb)
            guide = _guide(mask, layer, rgb.shape)
            for kind in kinds:
                taps[layer, kind] = style_loss(kind).gatherer(size, guide)
        by_layer = _by_layer([(layer, tap) for (layer, _), tap in taps.items()])
        self.engine.forward(rgb, by_layer, keep=False)
        return taps

    def _balance(self, image: Tensor) -> None:
        """Scale the losses such that each style layer's share of the gradient is its weight."""
        wanted = shares(self.recipe.style_layers, "relative")
        measured = self.gradient_shares(image)
        for layer, loss in self.style:
            if measured[layer]:
                loss.weight *= wanted[layer] / measured[layer]


LINEAR_RATIO = 2.0
"""Ratio of a loss to its goal above which the steepened loss is a straight line."""


def steepened(loss: Tensor, goal: float) -> tuple[Tensor, Tensor]:
    """Return the ratio of the steepened loss to ``loss``, and the derivative of the steepened loss.

    The steepened loss is loss³ / 3 goal² up to ``LINEAR_RATIO`` times the goal, and the tangent
    above. Its derivative is 1 at the goal, so it pulls there as ``loss`` does, and harder above.

    Args:
        loss: The loss, a 0-dim tensor.
        goal: The loss at which the derivative is 1.

    Returns:
        The ratio and the derivative, 0-dim tensors.
    """
    x = loss / goal
    far = x.clamp(min=LINEAR_RATIO)
    line = LINEAR_RATIO**2 * (1 - 2 * LINEAR_RATIO / (3 * far))
    is_near = x < LINEAR_RATIO
    return torch.where(is_near, x.square() / 3, line), x.clamp(max=LINEAR_RATIO).square()


@cache
def _side_streams() -> list[torch.cuda.Stream]:
    """Return the CUDA streams for the style losses.

    All objectives share them, because cuBLAS keeps a workspace of some 64 MB for every stream that
    it has ever used.
    """
    return [torch.cuda.Stream() for _ in range(SIDE_STREAMS)]  # type: ignore[no-untyped-call]


def _area(region: Region) -> float:
    """Return the share of the picture that a region covers."""
    return 1.0 if region.mask is None else float(region.mask.mean())


def _guide(mask: Tensor | None, layer: str, shape: Sequence[int]) -> Tensor | None:
    if mask is None:
        return None
    factor = reduction(layer)
    return guide_for(mask, shape[-2] // factor, shape[-1] // factor)


def _by_layer(taps: Sequence[tuple[str, Tap]]) -> Mapping[str, list[Tap]]:
    grouped: dict[str, list[Tap]] = defaultdict(list)
    for layer, tap in taps:
        grouped[layer].append(tap)
    return dict(grouped)
