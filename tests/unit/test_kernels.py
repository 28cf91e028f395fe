"""The device, precision and convolutions that are chosen, and what is kept of measurements."""

from __future__ import annotations

import json

import pytest
import torch

import impasto
from impasto.errors import DeviceError
from impasto.networks import convolution, kernels
from impasto.networks.convolution import Convolution
from impasto.networks.kernels import Way
from impasto.networks.weights import cache_folder

PLAIN, WINOGRAD, SHORT = (
    Way("float32", "plain"),
    Way("float32", "winograd"),
    Way("bfloat16", "onednn"),
)


@pytest.fixture
def measures(monkeypatch):
    """A machine with all ways, that takes so many seconds; counts how often it is asked."""
    seconds = {PLAIN: 0.3, WINOGRAD: 0.2, SHORT: 0.1}
    asked = []

    def measure(candidates):
        asked.append(candidates)
        return {way: seconds[way] for way in candidates}

    monkeypatch.delenv("IMPASTO_KERNEL")
    monkeypatch.setattr(kernels, "ways", lambda: [PLAIN, WINOGRAD, SHORT])
    monkeypatch.setattr(kernels, "measure", measure)
    kernels._speeds.cache_clear()
    yield seconds, asked
    kernels._speeds.cache_clear()


def chosen(*arguments: str) -> tuple[str, str]:
    device = kernels.choose("cpu", *arguments)
    return device.precision, device.kernel


def test_auto_takes_what_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert kernels.choose().device.type == "cpu"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    device = kernels.choose()
    assert (device.device.type, device.precision, device.kernel) == ("mps", "float32", "plain")


@pytest.mark.parametrize(
    ("seconds", "way", "why"),
    [
        ((0.3, 0.2, 0.1), SHORT, "bfloat16 onednn is 2.0 times as fast as float32 winograd here"),
        ((0.2, 0.3, 0.25), PLAIN, "float32 plain is 1.2 times as fast as bfloat16 onednn here"),
        ((0.3, 0.2, 0.19), WINOGRAD, "bfloat16 onednn is hardly faster here"),
    ],
)
def test_the_fastest_way_is_chosen(seconds, way, why, measures):
    measures[0].update(zip((PLAIN, WINOGRAD, SHORT), seconds, strict=True))
    device = kernels.choose("cpu")
    assert (device.precision, device.kernel) == way
    assert why in device.why


def test_what_is_asked_for_is_chosen(measures, monkeypatch):
    assert chosen("float32") == WINOGRAD
    assert chosen("bfloat16") == SHORT
    assert chosen("auto", "plain") == PLAIN
    assert chosen("float32", "onednn") == WINOGRAD  # it isn't there
    monkeypatch.setenv("IMPASTO_KERNEL", "plain")
    assert chosen() == PLAIN
    assert chosen("auto", "winograd") == WINOGRAD  # a recipe's own


def test_it_is_measured_once_on_a_machine(measures):
    assert chosen() == chosen() == SHORT
    kernels._speeds.cache_clear()  # as in another process
    measures[0][SHORT] = 9
    assert chosen() == SHORT
    assert len(measures[1]) == 1
    kernels.forget()
    assert chosen() == WINOGRAD
    (kept,) = json.loads((cache_folder() / kernels.MEASURED).read_text()).values()
    assert kept == {"float32 plain": 0.3, "float32 winograd": 0.2, "bfloat16 onednn": 9}


@pytest.mark.parametrize("damaged", ["", "[]", '{"x": 1', "\0"])
def test_a_damaged_file_is_measured_anew(damaged, measures):
    cache_folder().mkdir(parents=True)
    (cache_folder() / kernels.MEASURED).write_text(damaged)
    assert chosen() == SHORT
    assert json.loads((cache_folder() / kernels.MEASURED).read_text())


def test_where_nothing_can_be_kept_nothing_is_measured(measures, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path / "file/below"))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert chosen() == SHORT
    assert "instructions" in kernels.choose("cpu").why
    assert not measures[1]


@pytest.mark.parametrize(
    ("capabilities", "processor", "way"),
    [
        ({"avx2": True}, "AMD EPYC", WINOGRAD),
        ({"avx512_f": True, "avx512_bf16": True}, "Intel Xeon", PLAIN),
        ({"avx512_f": True, "avx512_bf16": True}, "AMD EPYC", SHORT),
        ({"avx512_f": True, "amx_bf16": True}, "Intel Xeon", SHORT),
    ],
)
def test_a_guess_goes_by_what_was_measured_on_such_cpus(capabilities, processor, way, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(kernels.devices, "processor", lambda: processor)
    assert kernels.guesses()[0] == way


def test_this_machine_is_measured_in_a_few_seconds():
    measured = kernels.measure(kernels.ways())
    assert set(measured) == set(kernels.ways())
    assert all(0 < seconds < 60 for seconds in measured.values())


def test_bfloat16_is_given_where_it_is_slow(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    device = kernels.choose("cpu", "bfloat16")
    assert (device.precision, device.kernel) == ("bfloat16", "plain")
    assert "slower than float32" in device.why
    again = kernels.choose("cpu", "bfloat16", strict=False)  # as a GPU's picture asks for it
    assert again.precision == "float32"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("gpu",), "there is no device 'gpu'"),
        (("cuda:x",), "there is no device 'cuda:x'"),
        (("cpu:1",), "there is no device 'cpu:1'"),
        (("cuda:99",), "there is no cuda:99 here"),
        (("cpu", "float17"), "there is no precision 'float17'"),
        (("cpu", "auto", "winogrand"), "there is no kernel 'winogrand'"),
    ],
)
def test_what_is_not_there_is_refused(arguments, sentence):
    with pytest.raises(DeviceError, match=sentence):
        kernels.choose(*arguments)


def test_a_picture_and_a_checkpoint_keep_what_was_chosen(measures, photo, painting, tmp_path):
    """Whatever would be chosen later."""
    settings = {"size": 48, "steps": 2, "scales": 1, "kernel": "plain", "precision": "float32"}
    *_, last = impasto.iterate(photo, painting, **settings)
    last.result().save(tmp_path / "art.png")
    impasto.checkpoint.save(last, tmp_path / "run.ckpt")
    for job in (
        impasto.prepare(photo, painting, recipe=tmp_path / "art.png"),
        impasto.checkpoint.load(tmp_path / "run.ckpt")[0],
    ):
        assert (job.device.precision, job.device.kernel) == PLAIN
    fastest = impasto.prepare(photo, painting)
    assert (fastest.recipe.precision, fastest.recipe.kernel) == SHORT
    assert len(measures[1]) == 1


@pytest.mark.parametrize("missing", ["winograd", "onednn"])
def test_without_a_private_operator_the_public_one_is_taken(missing, monkeypatch):
    torch.manual_seed(0)
    weight, bias, x = torch.randn(8, 8, 3, 3), torch.randn(8), torch.randn(1, 8, 48, 48)
    expected = Convolution(weight, bias, "plain").forward(x)
    monkeypatch.setitem(convolution.THERE, missing, lambda: False)
    layer = Convolution(weight, bias, missing)
    assert layer.kind == "plain"
    assert torch.equal(layer.forward(x), expected)


def test_where_nnpack_refuses_the_public_operator_is_taken(monkeypatch):
    def refuse(*arguments):
        raise RuntimeError("NNPACK SpatialConvolution_updateOutput failed")

    torch.manual_seed(0)
    weight, bias, x = torch.randn(8, 8, 3, 3), torch.randn(8), torch.randn(1, 8, 48, 48)
    monkeypatch.setitem(convolution.THERE, "winograd", lambda: True)
    monkeypatch.setattr(torch, "_nnpack_spatial_convolution", refuse)
    found = Convolution(weight, bias, "winograd").forward(x)
    torch.testing.assert_close(found, Convolution(weight, bias, "plain").forward(x))
