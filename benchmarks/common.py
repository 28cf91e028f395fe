"""What the benchmarks share: pairs, the tutorial's objective, the machine in words, JSON output."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any, Literal

# As in the processes of the command line: OpenMP reads it once, when torch is imported.
os.environ["GOMP_SPINCOUNT"] = os.environ.get("GOMP_SPINCOUNT", "10000")

import torch

import impasto
from impasto.base import devices
from impasto.losses.objective import Objective
from impasto.losses.style import Region, Style
from impasto.methods.optimize.settings import OptimizeSettings
from impasto.methods.optimize.setup import make_engine
from impasto.networks.kernels.engine import FeatureEngine
from impasto.runs.job import Job

Precision = Literal["auto", "float32", "bfloat16"]
REFERENCE = Path(__file__).parents[1] / "tests/parity/reference"
EXAMPLES = Path(__file__).parents[1] / "examples"
PAIRS = {
    "reference": (REFERENCE / "content.png", REFERENCE / "style.png"),
    "astronaut": (EXAMPLES / "photos/astronaut.png", EXAMPLES / "paintings/night_cafe.webp"),
    "chelsea": (EXAMPLES / "photos/chelsea.png", EXAMPLES / "paintings/harvest.webp"),
}


def parser(description: str | None) -> argparse.ArgumentParser:
    """Arguments that every benchmark has."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="write the figures")
    return parser


def prepared(
    pair: str, size: int, precision: Precision, device: str = "auto", **settings: Any
) -> tuple[Job, Objective, FeatureEngine]:
    """Return the job, objective and engine for one of PAIRS; the preset is the tutorial's."""
    settings = {"preset": "tutorial", **settings}
    job = impasto.prepare(*PAIRS[pair], size=size, precision=precision, device=device, **settings)
    engine, on = make_engine(job), job.device.device
    objective = Objective(
        engine,
        OptimizeSettings.of(job.recipe),
        job.content.rgb.to(on),
        [Region([Style(job.styles[0].rgb.to(on))])],
    )
    return job, objective, engine


def float32_total(pair: str, size: int, image: torch.Tensor) -> float:
    """The tutorial's total loss of ``image`` (1, 3, H, W), computed in float32."""
    job, objective, _ = prepared(pair, size, "float32")
    return objective.losses(image.to(job.device.device)).total


def machine() -> dict[str, Any]:
    """Return where and when the figures were measured."""
    return {
        "date": date.today().isoformat(),
        **devices.machine(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
    }


def finish(arguments: argparse.Namespace, figures: dict[str, Any]) -> None:
    """Write what was measured, if asked for."""
    if arguments.output:
        report = {"machine": machine(), **figures}
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")


def measured_elsewhere(code: str, *arguments: str) -> Any:
    """Run ``code`` in a process of its own; its last line of output is JSON."""
    return last_json([sys.executable, "-c", code, *arguments])


def last_json(command: list[str]) -> Any:
    """The last line that a command prints, which is JSON; or what went wrong."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])
