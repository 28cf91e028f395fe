"""Time and memory of the method instant from 1 to 48 megapixels, to a written PNG.

    python benchmarks/poster.py [--megapixels 1,3,12,48] [--statistics whole]
                                [--output FILE.json]

Every size is a process of its own; the least of three times. Prints the
power of the number of pixels that time grows with: 1 is linear.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import common
import numpy as np

RUN = """
import json, sys, time
import impasto
from impasto.base import devices
photo, painting, size, statistics, output = sys.argv[1:]
impasto.stylize(photo, painting, method="instant", size=64)  # networks loaded
seconds = []
for _ in range(3):
    result = None
    started = time.perf_counter()
    result = impasto.stylize(
        photo, painting, method="instant", size=int(size), statistics=statistics)
    seconds.append(time.perf_counter() - started)
painted = time.perf_counter()
result.save(output)
images_mb = 2 * 12 * result.width * result.height / 1e6
print(json.dumps({"width": result.width, "height": result.height,
    "painted_s": min(seconds), "written_s": time.perf_counter() - painted,
    "peak_mb": devices.peak_rss_mb(), "beyond_images_mb": devices.peak_rss_mb() - images_mb}))
"""


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--megapixels", default="1,3,12,48")
    parser.add_argument("--statistics", default="whole")
    arguments = parser.parse_args()
    photo = common.EXAMPLES / "photos/rocket.jpg"
    painting = common.EXAMPLES / "paintings/cafe_terrace.webp"
    rows = []
    print("  size         painting  writing  peak     beyond the two images")
    for megapixels in map(float, arguments.megapixels.split(",")):
        size = round(math.sqrt(megapixels * 1e6 * 640 / 427))
        with tempfile.TemporaryDirectory() as folder:
            output = str(Path(folder) / "poster.png")
            row = common.measured_elsewhere(
                RUN, str(photo), str(painting), str(size), arguments.statistics, output
            )
        rows.append(row)
        if "error" in row:
            print(row["error"])
            continue
        print(
            f"{row['width']:6}×{row['height']:<5} {row['painted_s']:7.2f} s"
            f" {row['written_s']:6.2f} s {row['peak_mb']:6.0f} MB"
            f" {row['beyond_images_mb']:6.0f} MB",
            flush=True,
        )
    done = [row for row in rows if "error" not in row]
    pixels = np.log([row["width"] * row["height"] for row in done])
    exponent = float(np.polyfit(pixels, np.log([row["painted_s"] for row in done]), 1)[0])
    print(f"time grows with pixels to the power {exponent:.3f}")
    common.finish(arguments, {"exponent": exponent, "rows": rows})


if __name__ == "__main__":
    main()
