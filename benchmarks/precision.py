"""What bfloat16 costs: the same run in both precisions, both ends evaluated in float32.

    python benchmarks/precision.py [--pairs reference,astronaut,chelsea] [--size 512] [--steps 100]
                                   [--pictures FOLDER] [--output FILE.json]

The limit is 2 % of the total loss after 100 steps of the tutorial.
"""

from __future__ import annotations

from pathlib import Path

import common
import torch

import impasto


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--pairs", default="reference,astronaut,chelsea")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--solver", default="adam")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    rows = []
    print("pair        float32    bfloat16   off (limit 2 %)")
    for pair in arguments.pairs.split(","):
        results = {}
        for precision in ("float32", "bfloat16"):
            results[precision] = impasto.stylize(
                *common.PAIRS[pair],
                preset="tutorial",
                solver=arguments.solver,
                size=arguments.size,
                steps=arguments.steps,
                precision=precision,
            )
        exact, rounded = (
            common.float32_total(pair, arguments.size, image_of(result))
            for result in results.values()
        )
        rows.append({"pair": pair, "float32": exact, "bfloat16": rounded})
        print(f"{pair:10} {exact:9.4g}  {rounded:9.4g}  {rounded / exact - 1:+.2%}", flush=True)
        if arguments.pictures:
            arguments.pictures.mkdir(parents=True, exist_ok=True)
            for precision, result in results.items():
                result.save(arguments.pictures / f"{pair}_{precision}.png", force=True)
    common.finish(arguments, {"size": arguments.size, "steps": arguments.steps, "rows": rows})


def image_of(result: impasto.Result) -> torch.Tensor:
    return torch.from_numpy(result.array).permute(2, 0, 1)[None]


if __name__ == "__main__":
    main()
