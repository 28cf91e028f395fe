"""Peak memory by size and plan, against what the memory model says.

    python benchmarks/memory.py [--sizes 256,512,1024] [--precisions auto] [--output memory.json]

Every run is a process of its own: six steps of the tutorial's objective with L-BFGS (history 5),
first with all the memory it wants and then with caps below that. On CUDA, the memory is that which
PyTorch reserves on the device.
"""

from __future__ import annotations

from itertools import product

import common

RUN = """
import json, sys
import torch
import impasto
from impasto.base import devices
from impasto.methods.optimize.plan import plan_of
content, style, size, cap, steps, precision = sys.argv[1:]
settings = {"preset": "tutorial", "solver": "lbfgs", "size": int(size), "steps": int(steps),
            "lbfgs_history": int(steps) - 1, "precision": precision}
job = impasto.prepare(content, style, max_memory=float(cap) or None, **settings)
plan = plan_of(job).memory
times = [event.seconds for event in impasto.run(job)]
seconds = [later - earlier for earlier, later in zip(times[:-1], times[1:])]
on_gpu = job.device.device.type == "cuda"
peak_mb = torch.cuda.max_memory_reserved() / 1e6 if on_gpu else devices.peak_rss_mb()
print(json.dumps({
    "width": job.content.width, "height": job.content.height, "precision": job.device.precision,
    "plan": str(plan), "bands": plan.bands, "history": plan.history, "model_mb": plan.needed_mb,
    "measured_mb": peak_mb, "seconds_per_step": min(seconds),
}))
"""
CAPS = "1,0.85,0.7,0.6,0.5"
"""Memory caps as shares of what the unlimited run takes."""


def measure(size: int, cap_gb: float, steps: int = 6, precision: str = "auto") -> dict[str, object]:
    """One run of ``size`` px under a cap (0: none), in a process of its own."""
    content, style = map(str, common.PAIRS["reference"])
    row: dict[str, object] = common.measured_elsewhere(
        RUN, content, style, str(size), str(cap_gb), str(steps), precision
    )
    return row


def show(row: dict[str, object]) -> None:
    if "error" in row:
        print(row["error"])
        return
    off = float(row["measured_mb"]) / float(row["model_mb"]) - 1  # type: ignore[arg-type]
    plan = f"{row['history']:2} pairs, {row['plan']}"
    print(
        f"{row['width']:5}×{row['height']:<5} {row['measured_mb']:7.0f} MB"
        f" {row['model_mb']:7.0f} MB {off:+5.0%} {row['seconds_per_step']:7.2f} s  {plan}",
        flush=True,
    )


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--sizes", default="256,512,1024")
    parser.add_argument("--precisions", default="auto")
    parser.add_argument("--caps", default=CAPS, help="memory caps as shares of the unlimited run")
    arguments = parser.parse_args()
    rows = []
    sizes, precisions = arguments.sizes.split(","), arguments.precisions.split(",")
    for precision, size in product(precisions, map(int, sizes)):
        print(f"{precision}\n  size        measured      model   off     step")
        whole = measure(size, 0, precision=precision)
        for share in map(float, arguments.caps.split(",")):
            cap_gb = float(whole["model_mb"]) / 1000 * share  # type: ignore[arg-type]
            row = whole if share == 1 else measure(size, cap_gb, precision=precision)
            rows.append({"cap_gb": None if share == 1 else cap_gb, **row})
            show(row)
    common.finish(arguments, {"rows": rows})


if __name__ == "__main__":
    main()
