"""3×3 convolutions of feature maps, and their gradients, in three implementations.

``winograd`` is NNPACK's F(6×6, 3×3) (Lavin & Gray 2016), a quarter to a third of the arithmetic, in
float32 on CPUs. ``onednn`` fuses the ReLU into bfloat16 convolutions on CPUs that have instructions
for them. ``plain`` is PyTorch's own, on the CPU oneDNN with the channels last. Which one is the
fastest, ``kernels`` says.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from impasto.devices import Kind, is_out_of_memory

MIN_WINOGRAD_LOCATIONS = 1_500
"""Below this many locations, transforming the kernels costs more than Winograd saves."""
PADDING, STRIDE, DILATION, GROUPS = [1, 1], [1, 1], [1, 1], 1


def has_winograd() -> bool:
    """Whether NNPACK is there, and starts: before it has, it refuses."""
    return hasattr(torch, "_nnpack_spatial_convolution") and torch._nnpack_available()


def has_fast_bfloat16() -> bool:
    """Whether oneDNN is there to fuse convolutions, and the CPU has instructions for bfloat16."""
    can = torch.cpu.get_capabilities()
    return has_onednn() and bool(can.get("avx512_bf16") or can.get("amx_bf16"))


def has_onednn() -> bool:
    """Whether this PyTorch fuses convolutions by oneDNN."""
    operators = ("_convolution_pointwise", "_reorder_convolution_weight")
    return torch._C._has_mkldnn and all(hasattr(torch.ops.mkldnn, name) for name in operators)


THERE = {"winograd": has_winograd, "onednn": has_onednn}


def usual(device: torch.device, dtype: torch.dtype) -> Kind:
    """What to take where nobody has chosen."""
    if device.type == "cpu" and dtype == torch.float32 and has_winograd():
        return "winograd"
    if device.type == "cpu" and dtype == torch.bfloat16 and has_fast_bfloat16():
        return "onednn"
    return "plain"


class Convolution:
    """One layer: convolution and ReLU upwards, and the way back of a gradient.

    ``weight`` is (O, I, 3, 3), ``bias`` (O,). Padding 1, so that sizes stay.
    """

    def __init__(self, weight: Tensor, bias: Tensor, kind: Kind | None = None) -> None:
        self.kind: Kind = kind or usual(weight.device, weight.dtype)
        if self.kind != "plain" and not THERE[self.kind]():
            self.kind = "plain"
        # The gradient of a convolution is the convolution with the kernels turned around.
        turned = weight.transpose(0, 1).flip(2, 3)  # (I, O, 3, 3)
        self.memory_format = (
            torch.contiguous_format
            if self.kind == "winograd" or weight.device.type == "mps"
            else torch.channels_last
        )
        self.weight = weight.contiguous(memory_format=self.memory_format)
        self.turned = turned.contiguous(memory_format=self.memory_format)
        self.bias = bias
        self.no_bias = bias.new_zeros(weight.shape[1])
        if self.kind == "onednn":
            self.weight, self.turned = _packed(self.weight), _packed(self.turned)

    def forward(self, x: Tensor) -> Tensor:
        """relu(w ∗ x + b): (1, I, H, W) → (1, O, H, W)."""
        if self.kind == "onednn":
            return _onednn(x, self.weight, self.bias, "relu")
        return self._convolve(x, self.weight, self.bias).relu_()

    def backward(self, gradient: Tensor) -> Tensor:
        """From the gradient with respect to w ∗ x + b (1, O, H, W) to that of x (1, I, H, W)."""
        if self.kind == "onednn":
            return _onednn(gradient, self.turned, None, "none")
        return self._convolve(gradient, self.turned, self.no_bias)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if self.kind == "winograd" and x.shape[-2] * x.shape[-1] >= MIN_WINOGRAD_LOCATIONS:
            try:
                return torch._nnpack_spatial_convolution(x, weight, bias, PADDING, STRIDE)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                # It refuses, as it may; PyTorch's own doesn't.
        return functional.conv2d(x, weight, bias, padding=1)


def _packed(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
        weight, PADDING, STRIDE, DILATION, GROUPS
    )
    return packed


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    result: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, weight, bias, PADDING, STRIDE, DILATION, GROUPS, activation, [], ""
    )
    return result
