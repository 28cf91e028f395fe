"""Time and memory of a step from 256 to 4096 px long side, under a cap.

python benchmarks/scaling.py [--sizes 256,512,1024,2048,4096] [--max-memory 8]
"""

from __future__ import annotations

import common
from memory import measure, show


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--sizes", default="256,512,1024,2048,4096")
    parser.add_argument("--max-memory", type=float, default=8.0, metavar="GB")
    arguments = parser.parse_args()
    rows = []
    print("  size        measured      model   off     step")
    for size in map(int, arguments.sizes.split(",")):
        rows.append(measure(size, arguments.max_memory, steps=3))
        show(rows[-1])
    common.finish(arguments, {"max_memory_gb": arguments.max_memory, "rows": rows})


if __name__ == "__main__":
    main()
