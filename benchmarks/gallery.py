"""The gallery: every photo in every painting's style, one contact sheet for each photo.

    python benchmarks/gallery.py [--preset studio] [--size 256] [--photos DIR] [--paintings DIR]
                                 [--into docs/gallery] [--only NAME,…] [--output gallery.json]

Pictures that are there already are not made again. Prints and writes seconds and ``impasto
evaluate``'s numbers, with their medians.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict
from pathlib import Path

import common
from PIL import Image

import impasto
from impasto.images.sheet import Panel, contact_sheet


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--preset", default="studio")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--photos", type=Path, default=common.EXAMPLES / "photos")
    parser.add_argument("--paintings", type=Path, default=common.EXAMPLES / "paintings")
    parser.add_argument("--only", default="", help="photos, by name")
    parser.add_argument("--into", type=Path, default=Path("docs/gallery"))
    arguments = parser.parse_args()
    folder = arguments.into / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    paintings = sorted(arguments.paintings.iterdir())
    rows = []
    for photo in sorted(arguments.photos.iterdir()):
        if arguments.only and photo.stem not in arguments.only.split(","):
            continue
        for painting in paintings:
            path = folder / f"{arguments.preset}_{photo.stem}_{painting.stem}.png"
            if not path.exists():
                result = impasto.stylize(
                    photo, painting, preset=arguments.preset, size=arguments.size
                )
                result.save(path)
                numbers = asdict(impasto.evaluate(path, photo, painting))
                rows.append({"pair": path.stem, "seconds": result.seconds, **numbers})
                print(path.stem, f"{result.seconds:.1f} s", flush=True)
        sheet(arguments.preset, photo, paintings, arguments.into)
    names = [name for name in (rows[0] if rows else {}) if name != "pair"]
    medians = {name: statistics.median(row[name] for row in rows) for name in names}
    print(medians)
    common.finish(arguments, {"medians": medians, "rows": rows})


def sheet(preset: str, photo: Path, paintings: list[Path], into: Path) -> None:
    """The photo's sheet: the paintings, and the pictures below them."""

    def panels(paths: list[Path]) -> list[Panel]:
        return [Panel(Image.open(path).convert("RGB")) for path in paths]

    made = [into / "pictures" / f"{preset}_{photo.stem}_{path.stem}.png" for path in paintings]
    half = (len(paintings) + 1) // 2
    rows = [panels(part) for part in (paintings[:half], made[:half], paintings[half:], made[half:])]
    picture = contact_sheet(rows)
    picture.thumbnail((1400, 1400), Image.Resampling.LANCZOS)
    picture.save(into / f"{preset}_{photo.stem}.jpg", quality=80)


if __name__ == "__main__":
    main()
