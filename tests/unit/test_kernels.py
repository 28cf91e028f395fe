"""Selection of device, precision and convolution kernel, and the stored measurements."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
import torch

import impasto
from impasto.base.devices import Kernel
from impasto.base.errors import DeviceError
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.networks.kernels import convolution, speeds
from impasto.networks.kernels import selection as kernels
from impasto.networks.kernels.convolution import Convolution
from impasto.networks.kernels.selection import Candidate

PLAIN = Candidate("float32", "plain")
WINOGRAD = Candidate("float32", "winograd")
BFLOAT16 = Candidate("bfloat16", "onednn")
ALL = [PLAIN, WINOGRAD, BFLOAT16]


class Probe:
    """Stands in for the measurement: returns ``seconds`` and counts its calls."""

    def __init__(self) -> None:
        self.seconds = dict(zip(ALL, (0.3, 0.2, 0.1), strict=True))
        self.calls = 0

    def __call__(self, wanted: list[Candidate]) -> dict[Candidate, float]:
        self.calls += 1
        return {each: self.seconds[each] for each in wanted}


@pytest.fixture
def probe(monkeypatch):
    """A machine with all candidates, where nothing was measured yet."""
    probe = Probe()
    monkeypatch.delenv("IMPASTO_KERNEL")
    monkeypatch.setattr(kernels, "candidates", lambda: ALL)
    monkeypatch.setattr(kernels, "probe", probe)
    kernels._measured_seconds.cache_clear()
    yield probe
    kernels._measured_seconds.cache_clear()


def selected(*request: str, **options: Any) -> tuple[str, str]:
    device = kernels.choose("cpu", *request, **options)
    return device.precision, device.kernel


def test_auto_prefers_a_gpu_to_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert kernels.choose().device.type == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    device = kernels.choose()
    assert (device.device.type, device.precision, device.kernel) == ("mps", "float32", "plain")


@pytest.mark.parametrize(
    ("seconds", "expected", "why"),
    [
        ((0.3, 0.2, 0.1), BFLOAT16, "bfloat16 onednn is 2.0 times as fast as float32 winograd"),
        ((0.2, 0.3, 0.25), PLAIN, "float32 plain is 1.2 times as fast as bfloat16 onednn"),
        ((0.3, 0.2, 0.19), WINOGRAD, "bfloat16 onednn is hardly faster here"),
    ],
)
def test_the_fastest_candidate_is_selected(seconds, expected, why, probe):
    probe.seconds = dict(zip(ALL, seconds, strict=True))
    device = kernels.choose("cpu")
    assert (device.precision, device.kernel) == expected
    assert why in device.why


def test_a_request_is_met(probe, monkeypatch):
    assert selected("float32") == WINOGRAD
    assert selected("bfloat16") == BFLOAT16
    assert selected("auto", "plain") == PLAIN
    monkeypatch.setenv("IMPASTO_KERNEL", "plain")
    assert selected() == PLAIN
    assert selected("auto", "winograd") == WINOGRAD  # the recipe's value wins


def test_the_method_instant_does_without_winograd(probe):
    probe.seconds = dict(zip(ALL, (0.3, 0.1, 0.2), strict=True))
    assert selected() == WINOGRAD
    assert selected(kernel=None) == BFLOAT16


def test_a_request_that_cannot_be_met_is_reported(probe):
    device = kernels.choose("cpu", "float32", "onednn")
    assert (device.precision, device.kernel) == WINOGRAD
    assert device.why.startswith("onednn has no float32; float32 winograd is")
    assert kernels.choose("cpu", "float32", "cudnn").why.startswith("cudnn is not available here; ")


def test_a_request_needs_no_measurement(probe):
    selected("float32", "winograd")
    selected("auto", "guess")
    assert probe.calls == 0


def test_a_machine_is_measured_once(probe):
    assert selected() == selected() == BFLOAT16
    kernels._measured_seconds.cache_clear()  # as in another process
    probe.seconds[BFLOAT16] = 9.0
    assert selected() == BFLOAT16
    assert probe.calls == 1
    assert kernels.forget_measurements() == [speeds.path()]
    assert selected() == WINOGRAD
    (stored,) = json.loads(speeds.path().read_text()).values()
    assert stored == {"float32 plain": 0.3, "float32 winograd": 0.2, "bfloat16 onednn": 9.0}


@pytest.mark.parametrize("content", ["", "[]", '{"x": 1', "\0"])
def test_a_damaged_file_is_replaced(content, probe):
    speeds.path().parent.mkdir(parents=True)
    speeds.path().write_text(content)
    assert selected() == BFLOAT16
    assert json.loads(speeds.path().read_text())


def test_nothing_is_measured_where_it_cannot_be_stored(probe, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "file/below"))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert selected() == BFLOAT16
    assert kernels.choose("cpu").why == "selected by instruction set"
    assert probe.calls == 0


@pytest.mark.parametrize(
    ("capabilities", "processor", "expected"),
    [
        ({"avx2": True}, "AMD EPYC", WINOGRAD),
        ({"avx512_f": True, "avx512_bf16": True}, "Intel Xeon", PLAIN),
        ({"avx512_f": True, "avx512_bf16": True}, "AMD EPYC", BFLOAT16),
        ({"avx512_f": True, "amx_bf16": True}, "Intel Xeon", BFLOAT16),
    ],
)
def test_the_ranking_follows_measurements_on_such_cpus(
    capabilities, processor, expected, monkeypatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(kernels.devices, "processor", lambda: processor)
    assert kernels.ranked_by_instructions()[0] == expected


def test_the_probe_times_every_candidate_of_this_machine():
    measured = kernels.probe(kernels.candidates())
    assert list(measured) == kernels.candidates()
    assert all(0 < seconds < float("inf") for seconds in measured.values())


def test_slow_bfloat16_is_used_only_on_strict_request(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    device = kernels.choose("cpu", "bfloat16")
    assert (device.precision, device.kernel) == ("bfloat16", "plain")
    assert "slower than float32" in device.why
    device = kernels.choose("cpu", "bfloat16", strict=False)  # as a GPU's recipe requests it
    assert device.precision == "float32"
    assert device.why.startswith("this CPU has no bfloat16 instructions; ")


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (("gpu",), "there is no device 'gpu'"),
        (("cuda:x",), "there is no device 'cuda:x'"),
        (("cpu:1",), "there is no device 'cpu:1'"),
        (("cuda:99",), "there is no cuda:99 here"),
        (("cpu", "float17"), "there is no precision 'float17'"),
        (("cpu", "auto", "winogrand"), "there is no kernel 'winogrand'"),
    ],
)
def test_an_unknown_name_is_refused(request_, sentence):
    with pytest.raises(DeviceError, match=sentence):
        kernels.choose(*request_)


def test_the_recipe_accepts_every_kernel():
    assert get_args(OptimizeSettings.model_fields["kernel"].annotation) == (
        "auto",
        *get_args(Kernel),
    )


def test_a_picture_and_a_checkpoint_record_the_selection(probe, photo, painting, tmp_path):
    settings: dict[str, Any] = {
        "size": 48,
        "steps": 2,
        "scales": 1,
        "kernel": "plain",
        "precision": "float32",
    }
    *_, last = impasto.iterate(photo, painting, **settings)
    last.result().save(tmp_path / "art.png")
    impasto.checkpoint.save(last, tmp_path / "run.ckpt")
    for job in (
        impasto.prepare(photo, painting, recipe=tmp_path / "art.png"),
        impasto.checkpoint.load(tmp_path / "run.ckpt")[0],
    ):
        assert (job.device.precision, job.device.kernel) == PLAIN
    assert probe.calls == 0
    fastest = impasto.prepare(photo, painting)
    recipe = OptimizeSettings.of(fastest.recipe)
    assert (recipe.precision, recipe.kernel) == BFLOAT16


def test_a_method_without_kernels_records_none(photo, painting):
    recipe = impasto.prepare(photo, painting, method="instant").recipe
    assert recipe.precision != "auto"
    assert "kernel" not in recipe.model_dump()


@pytest.mark.parametrize("missing", ["winograd", "onednn"])
def test_the_public_operator_replaces_a_missing_one(missing, monkeypatch):
    torch.manual_seed(0)
    weight, bias, x = torch.randn(8, 8, 3, 3), torch.randn(8), torch.randn(1, 8, 48, 48)
    expected = Convolution(weight, bias, "plain").forward(x)
    monkeypatch.setitem(convolution.IS_AVAILABLE, missing, lambda: False)
    layer = Convolution(weight, bias, missing)
    assert layer.kernel == "plain"
    assert torch.equal(layer.forward(x), expected)


def test_the_public_operator_replaces_one_that_refuses(monkeypatch):
    def refuse(*arguments):
        raise RuntimeError("NNPACK SpatialConvolution_updateOutput failed")

    torch.manual_seed(0)
    weight, bias, x = torch.randn(8, 8, 3, 3), torch.randn(8), torch.randn(1, 8, 48, 48)
    monkeypatch.setitem(convolution.IS_AVAILABLE, "winograd", lambda: True)
    monkeypatch.setattr(torch, "_nnpack_spatial_convolution", refuse)
    result = Convolution(weight, bias, "winograd").forward(x)
    torch.testing.assert_close(result, Convolution(weight, bias, "plain").forward(x))


@pytest.mark.parametrize("operator", ["_convolution_pointwise", "_reorder_convolution_weight"])
def test_the_public_operator_replaces_onednns_where_it_refuses(operator, monkeypatch):
    weight, x = torch.rand(4, 3, 3, 3).bfloat16(), torch.rand(1, 3, 9, 11).bfloat16()
    bias = torch.rand(4).bfloat16()
    expected = Convolution(weight, bias, "plain")

    def refuse(*arguments):
        raise RuntimeError("could not create a primitive descriptor")

    monkeypatch.setattr(torch.ops.mkldnn, operator, refuse)
    layer = Convolution(weight, bias, "onednn")
    x = x.contiguous(memory_format=layer.memory_format)
    gradient = expected.forward(x)
    assert torch.equal(layer.forward(x), gradient)
    assert torch.equal(layer.backward(gradient), expected.backward(gradient))


def test_the_public_operator_replaces_cudnns_where_it_refuses(monkeypatch):
    def refuse(*arguments):
        raise RuntimeError("GET was unable to find an engine to execute this computation")

    monkeypatch.setattr(torch, "cudnn_convolution_relu", refuse)
    weight, bias, x = torch.rand(4, 3, 3, 3), torch.rand(4), torch.rand(1, 3, 9, 11)
    layer = Convolution(weight, bias, "cudnn")
    x = x.contiguous(memory_format=layer.memory_format)
    assert torch.equal(layer.forward(x), Convolution(weight, bias, "plain").forward(x))


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), "fast", None])
def test_a_stored_speed_that_is_none_is_measured_again(value, probe):
    speeds.store_all({str(each): value for each in ALL})
    kernels._measured_seconds.cache_clear()
    assert selected() == BFLOAT16
    assert probe.calls == 1


def test_bfloat16_runs_through_the_public_operator_on_request():
    device = kernels.choose("cpu", "bfloat16", "plain")
    assert (device.precision, device.kernel) == ("bfloat16", "plain")


def test_a_kernel_without_the_precision_is_named(probe):
    assert kernels.choose("cpu", "bfloat16", "winograd").why.startswith("winograd has no bfloat16")


def test_the_method_instant_ignores_the_environments_kernel(monkeypatch, probe):
    monkeypatch.setenv("IMPASTO_KERNEL", "no such kernel")
    assert kernels.choose("cpu", "float32", kernel=None).precision == "float32"
    monkeypatch.setenv("IMPASTO_KERNEL", "guess")
    kernels.choose("cpu", kernel=None)
    assert probe.calls == 0
