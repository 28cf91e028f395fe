"""Train the bundled styles: a network of the size ``fast`` for each bundled painting.

    python scripts/train_styles.py [NAME ...] [--time 6m] [--steps N]

Each training writes src/impasto/styles/data/NAME.style, and a row in LOG.md in that folder. An
interrupted training continues from its checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from impasto.base import files, own_process
from impasto.base.devices import processor
from impasto.learning import api, checkpoint
from impasto.learning.style import style_bytes
from impasto.learning.training import TrainingJob, TrainingState
from impasto.styles import bundled

DATA = Path(__file__).parents[1] / "src/impasto/styles/data"
LOG = DATA / "LOG.md"
HEAD = """# Training of the bundled styles

`python scripts/train_styles.py` trained them; the losses are means over the last steps. Trainings
in float32 ran on one core, two at a time. A training without a time was interrupted.

| style | steps | seconds | content loss | style loss | bytes | machine |
|---|---|---|---|---|---|---|
"""
SECONDS_BETWEEN_CHECKPOINTS = 30
LICENCE = "as impasto"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="paintings; by default, all of them"
    )
    parser.add_argument("--time", default="6m", help="length of each training in time")
    parser.add_argument("--steps", type=int, help="length of each training in steps")
    parser.add_argument("--work", type=Path, default=Path("/tmp"), help="folder for checkpoints")
    arguments = parser.parse_args()
    own_process.configure()
    own_process.set_freed_memory(should_keep=True)
    length: dict[str, Any] = (
        {"steps": arguments.steps} if arguments.steps else {"time": arguments.time}
    )
    for name in arguments.names or bundled.paintings():
        train(name, arguments.work / f"impasto-{name}.ckpt", length)


def train(name: str, saved: Path, length: dict[str, Any]) -> None:
    """Train the style of a painting, and continue from its checkpoint if there is one.

    Args:
        name: The name of the painting.
        saved: The path of the checkpoint.
        length: ``time`` or ``steps``.
    """
    state: TrainingState | None = None
    if saved.exists():
        job, state = checkpoint.load(saved)
    else:
        painting = bundled.paintings()[name]
        job = api.prepare_training(
            str(painting), name=bundled.title(name), licence=LICENCE, **length
        )
    last_save = 0.0
    for progress in api.iterate_training(job, state):
        if progress.seconds - last_save > SECONDS_BETWEEN_CHECKPOINTS:
            last_save = progress.seconds
            checkpoint.save(job, progress.state, saved)
            print(f"{name} {progress.share:.0%} {progress.losses}", flush=True)
    data = style_bytes(progress)
    DATA.mkdir(exist_ok=True)
    files.write_atomically(DATA / f"{name}.style", data)
    _log(name, job, progress.state, len(data))
    saved.unlink(missing_ok=True)


def _log(name: str, job: TrainingJob, state: TrainingState, size: int) -> None:
    """Write the row of a style to the log, or replace it."""
    lines = LOG.read_text(encoding="utf-8").splitlines() if LOG.exists() else HEAD.splitlines()
    lines = [line for line in lines if not line.startswith(f"| {name} |")]
    point = state.history[-1]
    lines.append(
        f"| {name} | {state.step} | {state.seconds:.0f} | {point.content:.4f} | {point.style:.4f}"
        f" | {size} | {processor()}, {job.look.device.precision} |"
    )
    head, rows = lines[: len(HEAD.splitlines())], sorted(lines[len(HEAD.splitlines()) :])
    LOG.write_text("\n".join([*head, *rows]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
