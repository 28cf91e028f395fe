from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from impasto.losses.gram import gram_matrix
from impasto.losses.moments import MomentsTap
from impasto.networks.kernels import convolution
from impasto.networks.kernels.convolution import Convolution

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", ["winograd", "onednn", "plain"])
@pytest.mark.parametrize("size", [(40, 41), (64, 48), (7, 300), (2, 3)])
def test_every_kind_is_the_same_convolution(kind, size):
    if kind == "winograd" and not torch._nnpack_available():
        pytest.skip("this PyTorch was built without NNPACK")
    if kind == "onednn" and not torch.backends.mkldnn.is_available():
        pytest.skip("this PyTorch was built without oneDNN")
    torch.manual_seed(0)
    weight, bias = torch.randn(24, 16, 3, 3), torch.randn(24)
    layer = Convolution(weight, bias, kind)
    x = torch.randn(1, 16, *size)
    exact = x.double().requires_grad_()
    linear = functional.conv2d(exact, weight.double(), bias.double(), padding=1)
    above = torch.randn_like(linear)
    (gradient,) = torch.autograd.grad(linear, exact, above)
    ours = layer.forward(x.contiguous(memory_format=layer.memory_format))
    back = layer.backward(above.float().contiguous(memory_format=layer.memory_format))
    torch.testing.assert_close(ours.double(), linear.relu(), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(back.double(), gradient, atol=1e-3, rtol=1e-4)


def test_the_kind_follows_precision_and_hardware(monkeypatch):
    monkeypatch.setattr(torch, "_nnpack_available", lambda: True)
    assert convolution.default_kernel(CPU, torch.float32) == "winograd"
    assert convolution.default_kernel(CPU, torch.float64) == "plain"
    assert convolution.default_kernel(torch.device("cuda"), torch.float32) == "cudnn"
    monkeypatch.delattr(torch, "cudnn_convolution_relu")
    assert convolution.default_kernel(torch.device("cuda"), torch.float32) == "plain"
    monkeypatch.setattr(torch, "_nnpack_available", lambda: False)
    assert convolution.default_kernel(CPU, torch.float32) == "plain"


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("dtype", "off"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_the_moments_tap_is_the_gram_matrix_and_its_gradient(dtype, off, memory_format):
    torch.manual_seed(0)
    f = torch.rand(1, 24, 36, 50).to(dtype).contiguous(memory_format=memory_format)
    slope = torch.randn(24, 24)
    exact = f.double().requires_grad_()
    (expected,) = torch.autograd.grad((gram_matrix(exact) * slope).sum(), exact)
    tap = MomentsTap(lambda moments: (moments.gram * slope.to(moments.gram)).sum())
    for top in (0, 10):  # in two bands
        tap.look(f[:, :, top : top + 10 if top == 0 else None], top)
    gram = gram_matrix(f.double())[0]
    torch.testing.assert_close(tap.moments.gram.double(), gram, rtol=off, atol=off)
    tap.loss()
    gradient = torch.full_like(f, 0.01)  # it is added to what is there
    tap.pull(f, gradient, 0)
    error = (gradient.double() - 0.01 - expected).norm()
    assert error < off * (expected + 0.01).norm()
