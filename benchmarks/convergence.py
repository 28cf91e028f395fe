"""The tutorial's objective over time, for each solver.

    python benchmarks/convergence.py [--pairs reference,astronaut,chelsea] [--size 256]
        [--solvers adam,lbfgs] [--seconds 60] [--plot convergence.png] [--output FILE.json]

On the reference pair at 512 px it also prints when the total that TensorFlow's 1,000 Adam steps end
at is reached, if it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import common

import impasto
from impasto.methods.optimize.snapshot import OptimizeSnapshot


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--pairs", default="reference,astronaut,chelsea")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--solvers", default="adam,lbfgs")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    arguments = parser.parse_args()
    recorded = json.loads((common.REFERENCE / "tutorial.json").read_text())["losses_tv_30"][-1]
    target = sum(recorded[term] for term in ("content", "style", "tv"))
    curves = []
    for pair in arguments.pairs.split(","):
        goal = target if pair == "reference" and arguments.size == 512 else 0.0
        for solver in arguments.solvers.split(","):
            curve = run(pair, solver, arguments.size, arguments.seconds, arguments.precision, goal)
            curves.append(curve)
            marks = [curve["points"][int(share * (len(curve["points"]) - 1))] for share in MARKS]
            print(
                f"{pair:10} {solver:6}"
                + "".join(f"  {step:4}: {total:.3e}" for step, _, total in marks),
                flush=True,
            )
            if curve["reached"]:
                step, seconds, _, exact = curve["reached"]
                print(
                    f"  {goal:.4g}, TensorFlow's end, after {step} steps, {seconds:.0f} s"
                    f" (in float32 {exact:.4g})"
                )
    if arguments.plot:
        plot(curves, arguments.plot)
    common.finish(arguments, {"size": arguments.size, "curves": curves})


MARKS = (0.1, 0.25, 0.5, 1.0)


def run(
    pair: str,
    solver: Literal["adam", "lbfgs"],
    size: int,
    seconds: float,
    precision: common.Precision,
    goal: float,
) -> dict[str, Any]:
    """(step, seconds, lowest total so far) of a run, which ends at the goal, by float32's count."""
    _, exactly, _ = common.prepared(pair, size, "float32", "cpu")
    points: list[tuple[int, float, float]] = []
    reached = None
    for progress in impasto.iterate(
        *common.PAIRS[pair],
        preset="tutorial",
        solver=solver,
        size=size,
        precision=precision,
        steps=1_000_000,
        time_budget=seconds,
    ):
        assert progress.losses is not None
        assert isinstance(progress.snapshot, OptimizeSnapshot)
        lowest = min([progress.losses.total, *(point[2] for point in points[-1:])])
        points.append((progress.step, progress.seconds, lowest))
        if lowest <= goal:
            exact = exactly.losses(progress.snapshot.image.cpu()).total
            if exact <= goal:
                reached = (*points[-1], exact)
                break
    return {"pair": pair, "solver": solver, "points": points, "reached": reached}


def plot(curves: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415, only with --plot

    pairs = list(dict.fromkeys(curve["pair"] for curve in curves))
    figure = Figure(figsize=(4.5 * len(pairs), 3.6), layout="constrained")
    for axes, pair in zip(figure.subplots(1, len(pairs), squeeze=False)[0], pairs, strict=True):
        for curve in curves:
            if curve["pair"] == pair:
                _, seconds, totals = zip(*curve["points"], strict=True)
                axes.plot(seconds[1:], totals[1:], label=curve["solver"])
        axes.set(title=pair, xlabel="seconds", ylabel="total loss", yscale="log")
        axes.legend()
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    main()
