"""Apple's GPUs: a step uses no operator that PyTorch lacks on MPS, by PyTorch's own list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torchgen
from torch.utils._python_dispatch import TorchDispatchMode

import impasto
from impasto.losses.objective import Objective
from impasto.losses.style import Region, Style
from impasto.methods.optimize.run import SHIFTS
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.methods.optimize.setup import make_engine
from impasto.runs.progress import last

LIST = Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml"
ON_THE_CPU = {"_linalg_eigh", "linalg_qr"}
"""Operators whose inputs the program moves to the CPU: see ``losses/wasserstein.py``."""
COMPOSITE = ("CompositeImplicitAutograd", "CompositeExplicitAutograd")


class Recorder(TorchDispatchMode):
    """Records the operators that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        namespace, _, name = function.name().partition("::")
        assert namespace == "aten", f"{function} is no public operator"
        self.names.add(name)
        return function(*args, **(kwargs or {}))


def lacking(names: set[str]) -> set[str]:
    """Return the operators that have no implementation on MPS."""
    entries = {
        text.partition("(")[0].strip(): text
        for text in re.split(r"^- func: ", LIST.read_text(), flags=re.MULTILINE)[1:]
    }

    def is_on_mps(name: str) -> bool:
        text = entries[name]
        delegate = re.search(r"structured_delegate: (\S+)", text)
        if delegate:
            return is_on_mps(delegate[1])
        dispatch = re.search(r"\n  dispatch:\n((?:    .*\n)+)", text)
        return dispatch is None or "MPS" in dispatch[1] or any(c in dispatch[1] for c in COMPOSITE)

    return {name for name in names if name in entries and not is_on_mps(name)}


def test_the_list_knows_what_lacks():
    assert lacking({"_linalg_eigh", "add.Tensor", "convolution"}) == {"_linalg_eigh"}


@pytest.mark.skipif(not LIST.exists(), reason="this PyTorch comes without its list of operators")
@pytest.mark.parametrize("kernel", ["plain", "autograd"])
@pytest.mark.parametrize("style_loss", ["gram", "moments", "w2", "swd", "nearest"])
def test_a_step_uses_no_operator_that_mps_lacks(style_loss, kernel, photo, painting):
    job = impasto.prepare(
        photo, painting, style_loss=style_loss, size=64, kernel=kernel, precision="float32"
    )
    with Recorder() as recorder:
        regions = [Region([Style(job.styles[0].rgb)], job.content.rgb[:, :1])]
        objective = Objective(
            make_engine(job),
            OptimizeSettings.of(job.recipe),
            job.content.rgb,
            regions,
            shifts=SHIFTS,
        )
        objective.begin_step(1)
        objective.losses_and_gradient(job.content.rgb)
    assert lacking(recorder.names) <= ON_THE_CPU


@pytest.mark.parametrize(
    "settings", [{"kernel": "plain"}, {"kernel": "plain", "solver": "adam"}, {"method": "instant"}]
)
def test_a_run_uses_no_operator_that_mps_lacks(settings, photo, painting):
    job = impasto.prepare(photo, painting, size=64, precision="float32", **settings)
    with Recorder() as recorder:
        last(impasto.run(job)).result()
    assert lacking(recorder.names) <= ON_THE_CPU
