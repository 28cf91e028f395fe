from __future__ import annotations

import pytest
import torch

from impasto import devices
from impasto.errors import DeviceError


def test_auto_takes_what_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert devices.choose().device.type == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices.choose().device.type == "mps"


@pytest.mark.parametrize(
    ("capabilities", "precision", "why"),
    [
        ({"amx_bf16": True}, "bfloat16", "this CPU has AMX"),
        ({"avx512_bf16": True}, "bfloat16", "this CPU has AVX-512 BF16"),
        ({}, "float32", "no bfloat16 instructions"),
    ],
)
def test_precision_follows_the_instructions_of_the_cpu(capabilities, precision, why, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    chosen = devices.choose("cpu")
    assert chosen.precision == precision
    assert why in chosen.why


def test_what_is_asked_for_is_given_and_its_price_said(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    chosen = devices.choose("cpu", "bfloat16")
    assert chosen.dtype == torch.bfloat16
    assert "slower than float32" in chosen.why
    assert devices.choose("cpu", "float32").dtype == torch.float32


@pytest.mark.parametrize(
    ("device", "precision", "sentence"),
    [
        ("gpu", "auto", "there is no device 'gpu'"),
        ("cuda:x", "auto", "there is no device 'cuda:x'"),
        ("cpu:1", "auto", "there is no device 'cpu:1'"),
        ("cuda:99", "auto", "there is no cuda:99 here"),
        ("cpu", "float17", "there is no precision 'float17'"),
    ],
)
def test_what_is_not_there_is_refused(device, precision, sentence):
    with pytest.raises(DeviceError, match=sentence):
        devices.choose(device, precision)


def test_memory_figures_are_plausible():
    assert 50 < devices.peak_rss_mb() < 100_000
    assert devices.memory_available_mb(torch.device("cpu")) > 100
