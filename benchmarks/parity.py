"""Run the tutorial preset on the reference pair and compare its losses with TensorFlow's.

    python benchmarks/parity.py [--steps 1000] [--output parity.json]

Prints, for every step that ``tests/parity/reference/tutorial.json`` records, how far the losses are
from TensorFlow's. 1,000 steps in float32 take 25 to 45 minutes on two cores.
"""

from __future__ import annotations

import json
from pathlib import Path

import common

import impasto

REFERENCE = common.REFERENCE


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--picture", type=Path, help="write the finished picture")
    arguments = parser.parse_args()

    recorded = json.loads((REFERENCE / "tutorial.json").read_text())["losses_tv_30"]
    expected = {row["step"]: row for row in recorded}
    rows = []
    print(" step  seconds      total | ours / TensorFlow - 1: total, style, content, tv")
    for progress in impasto.iterate(
        REFERENCE / "content.png",
        REFERENCE / "style.png",
        preset="tutorial",
        steps=arguments.steps,
        precision="float32",
        device="cpu",
    ):
        if progress.step not in expected or progress.losses is None:
            continue
        theirs = expected[progress.step]
        theirs["total"] = sum(theirs[term] for term in ("content", "style", "tv"))
        ours = progress.losses.as_dict()
        off = {term: ours[term] / theirs[term] - 1 if theirs[term] else 0.0 for term in ours}
        rows.append({"step": progress.step, "seconds": progress.seconds, **ours, "off": off})
        print(
            f"{progress.step:5} {progress.seconds:8.1f} {ours['total']:10.4g}"
            + "".join(f" {off[term]:+8.3%}" for term in ("total", "style", "content", "tv")),
            flush=True,
        )
    if arguments.picture:
        progress.result().save(arguments.picture, force=True)
    common.finish(arguments, {"rows": rows})


if __name__ == "__main__":
    main()
