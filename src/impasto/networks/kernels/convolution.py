"""3×3 convolutions of feature maps and their gradients, with four interchangeable kernels.

- ``winograd``: NNPACK's F(6×6, 3×3) (Lavin & Gray 2016). It needs a quarter to a third of the
  arithmetic; float32 on CPUs only.
- ``onednn``: oneDNN with the ReLU fused in, for bfloat16 on CPUs that have instructions for it.
- ``cudnn``: cuDNN with bias and ReLU fused in, on CUDA: a feature map is written once instead of
  three times.
- ``plain``: PyTorch's public operator; on a CPU it runs oneDNN on channels-last tensors.

The module ``kernels`` selects the fastest one. All but ``plain`` are private operators of PyTorch;
where one is missing or refuses a call, the public operator computes the same result.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from impasto.base.devices import Kernel, is_out_of_memory

MIN_WINOGRAD_LOCATIONS = 1_500
"""Below this many locations, transforming the kernels costs more than Winograd saves."""
PADDING, STRIDE, DILATION, GROUPS = [1, 1], [1, 1], [1, 1], 1


def has_winograd() -> bool:
    """Return whether NNPACK is available. The call also initializes it, which it requires."""
    return hasattr(torch, "_nnpack_spatial_convolution") and torch._nnpack_available()


def has_fast_bfloat16() -> bool:
    """Return whether oneDNN is available and the CPU has instructions for bfloat16."""
    supported = torch.cpu.get_capabilities()
    return _has_onednn() and bool(supported.get("avx512_bf16") or supported.get("amx_bf16"))


def _has_onednn() -> bool:
    """Return whether this PyTorch has oneDNN's fused convolutions."""
    operators = ("_convolution_pointwise", "_reorder_convolution_weight")
    is_built_in = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return is_built_in and all(hasattr(torch.ops.mkldnn, name) for name in operators)


def has_cudnn() -> bool:
    """Return whether cuDNN's fused convolution is available."""
    return torch.backends.cudnn.enabled and hasattr(torch, "cudnn_convolution_relu")


IS_AVAILABLE = {
    "plain": lambda: True,
    "winograd": has_winograd,
    "onednn": _has_onednn,
    "cudnn": has_cudnn,
}


def default_kernel(device: torch.device, dtype: torch.dtype) -> Kernel:
    """Return the kernel for callers that do not select one."""
    if device.type == "cpu" and dtype == torch.float32 and has_winograd():
        return "winograd"
    if device.type == "cpu" and dtype == torch.bfloat16 and has_fast_bfloat16():
        return "onednn"
    if device.type == "cuda" and has_cudnn():
        return "cudnn"
    return "plain"


def best_memory_format(device: torch.device) -> torch.memory_format:
    """Return the layout in which PyTorch's public convolution is the fastest on a device."""
    return torch.contiguous_format if device.type == "mps" else torch.channels_last


class Convolution:
    """One layer: a convolution with padding 1, followed by ReLU, and the convolution's gradient.

    ``weight`` is (O, I, 3, 3), ``bias`` (O,).
    """

    def __init__(self, weight: Tensor, bias: Tensor, kernel: Kernel | None = None) -> None:
        wanted = kernel or default_kernel(weight.device, weight.dtype)
        self.kernel: Kernel = wanted if IS_AVAILABLE[wanted]() else "plain"
        # The gradient of a convolution is the convolution with the kernels turned around.
        turned = weight.transpose(0, 1).flip(2, 3)  # (I, O, 3, 3)
        self.memory_format = (
            torch.contiguous_format
            if self.kernel == "winograd"
            else best_memory_format(weight.device)
        )
        self.weight = weight.contiguous(memory_format=self.memory_format)
        self.turned = turned.contiguous(memory_format=self.memory_format)
        self.bias = bias
        if self.kernel == "onednn":
            try:
                self.packed, self.packed_turned = _packed(self.weight), _packed(self.turned)
            except RuntimeError as error:
                self._refused(error)

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(w ∗ x + b), (1, O, H, W), of x (1, I, H, W)."""
        try:
            if self.kernel == "onednn":
                return _onednn(x, self.packed, self.bias, "relu")
            if self.kernel == "cudnn":
                return torch.cudnn_convolution_relu(
                    x, self.weight, self.bias, STRIDE, PADDING, DILATION, GROUPS
                )
        except RuntimeError as error:
            self._refused(error)
        return self._convolve(x, self.weight, self.bias).relu_()

    def backward(self, gradient: Tensor) -> Tensor:
        """Return the gradient of x (1, I, H, W), given that of w ∗ x + b (1, O, H, W)."""
        if self.kernel == "onednn":
            try:
                return _onednn(gradient, self.packed_turned, None, "none")
            except RuntimeError as error:
                self._refused(error)
        return self._convolve(gradient, self.turned, None)

    def _refused(self, error: RuntimeError) -> None:
        """Use the public operator from now on, unless it was the memory that ran out."""
        if is_out_of_memory(error):
            raise error
        self.kernel = "plain"

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.kernel == "winograd" and x.shape[-2] * x.shape[-1] >= MIN_WINOGRAD_LOCATIONS:
            try:
                return torch._nnpack_spatial_convolution(x, weight, bias, PADDING, STRIDE)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                # NNPACK refuses some calls; the public operator below accepts all of them.
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
