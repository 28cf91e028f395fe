"""Learned styles: length of the training, quality, speed, memory and file size.

    python benchmarks/learn.py [--paintings FILE,…] [--photos FILE,…] [--network fast,fine]
                               [--time 10m | --steps N] [--sizes 512,1024] [--rounds 9]
                               [--styles FILE.style,…] [--sheets FOLDER] [--output FILE.json]

For each painting, a network is trained, or the style file in ``--styles`` is used. Each photo is
stylized with it and with Magenta's network (the method instant), and ``impasto.evaluate`` measures
both pictures. The speed is measured with arrays of 640×360 px, alternating with the method instant.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import common
import numpy as np

import impasto
from impasto.base.devices import peak_rss_mb, processor
from impasto.images.sheet import Panel, contact_sheet
from impasto.styles.style_file import read_info

PAINTINGS = "cafe_terrace,edtaonisl,ink,mosaic"
PHOTOS = "astronaut.png,chelsea.png,coffee.png,rocket.jpg"
"""The bundled example photos, which aren't used for training."""
FRAME = (360, 640)
"""Height and width of the frames for the speed, px."""
MEASURES = ("style_covariance", "style_wasserstein", "content_features", "roughness", "palette")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--paintings", default=PAINTINGS)
    parser.add_argument("--photos", default=PHOTOS)
    parser.add_argument("--network", default="fast")
    parser.add_argument("--time", help="length of each training in time")
    parser.add_argument("--steps", type=int, help="length of each training in steps")
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--sizes", default="512,1024")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--styles", help="style files, one per painting")
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets of all pictures")
    arguments = parser.parse_args()
    print(f"machine: {processor()}")
    paintings = [_file("paintings", name, ".webp") for name in arguments.paintings.split(",")]
    photos = [_file("photos", name, "") for name in arguments.photos.split(",")]
    given = arguments.styles.split(",") if arguments.styles else []
    figures: list[dict[str, Any]] = []
    for network in arguments.network.split(","):
        for index, painting in enumerate(paintings):
            row: dict[str, Any] = {"painting": painting.stem, "network": network}
            if given:
                style = Path(given[index]).read_bytes()
            else:
                style, row["training"] = train(painting, network, arguments)
            row["bytes"] = len(style)
            row |= {"fps": fps(style, painting, arguments.rounds)}
            for size in map(int, arguments.sizes.split(",")):
                row[f"ratios at {size} px"] = ratios(
                    style, painting, photos, size, arguments.sheets
                )
            print(row, flush=True)
            figures.append(row)
    common.finish(arguments, {"styles": figures})


def train(painting: Path, network: str, arguments: Any) -> tuple[bytes, dict[str, float]]:
    """Train a network, and return its style file and the measurements of the training."""
    length = {"steps": arguments.steps} if arguments.steps else {"time": arguments.time or "10m"}
    started = time.perf_counter()
    style = impasto.learn(str(painting), network=network, crop=arguments.crop, **length)
    seconds = time.perf_counter() - started
    steps = read_info(style, painting.name).training["done"]["steps"]
    return style, {"seconds": seconds, "steps": steps, "peak_mb": peak_rss_mb()}


def fps(style: bytes, painting: Path, rounds: int) -> dict[str, float]:
    """Return the frames per second of a style and of the method instant, measured alternately."""
    frame = np.random.default_rng(0).integers(0, 256, (*FRAME, 3), dtype=np.uint8)
    painters = {"learned": impasto.Stylizer(style), "instant": impasto.Stylizer(str(painting))}
    seconds: dict[str, list[float]] = {name: [] for name in painters}
    for _ in range(rounds + 2):
        for name, paint in painters.items():
            started = time.perf_counter()
            paint(frame)
            seconds[name].append(time.perf_counter() - started)
    return {name: 1 / statistics.median(times[2:]) for name, times in seconds.items()}


def ratios(
    style: bytes, painting: Path, photos: list[Path], size: int, sheets: Path | None
) -> dict[str, float]:
    """Return the mean measures of a style over the photos, relative to the method instant."""
    sums: dict[str, list[float]] = {name: [0.0, 0.0] for name in MEASURES}
    rows = []
    for photo in photos:
        results = [
            impasto.stylize(photo, style, size=size),
            impasto.stylize(photo, painting, method="instant", size=size),
        ]
        for place, result in enumerate(results):
            measured = impasto.evaluate(result.array[..., :3], photo, painting).as_dict()
            for name in MEASURES:
                sums[name][place] += measured[name]
        rows.append([Panel(result.image) for result in results])
    if sheets is not None:
        sheets.mkdir(exist_ok=True)
        sheet = contact_sheet(rows, column_labels=["learned", "instant"])
        sheet.save(sheets / f"{painting.stem}_{size}.jpg", quality=90)
    return {name: round(ours / theirs, 3) for name, (ours, theirs) in sums.items()}


def _file(kind: str, name: str, ending: str) -> Path:
    """Return a file by its path, or by its name among the examples."""
    path = Path(name)
    return path if path.exists() else common.EXAMPLES / kind / f"{name}{ending}"


if __name__ == "__main__":
    main()
