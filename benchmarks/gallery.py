"""The gallery: every photo in every painting's style, on one contact sheet.

    python benchmarks/gallery.py [--preset studio] [--size 256] [--photos DIR] [--paintings DIR]
                                 [--into docs/gallery] [--output gallery.json]

Pictures that are there already are not made again, and the sheet is written anew after each: it can
be stopped at any time. It goes along diagonals, for every photo and every painting to have its turn
early. Prints and writes seconds and ``impasto evaluate``'s numbers, with their medians.
"""

from __future__ import annotations

import statistics
from dataclasses import asdict
from pathlib import Path

import common
from PIL import Image

import impasto
from impasto.images.sheet import Panel, contact_sheet

PANEL_PX = 200


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--preset", default="studio")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--photos", type=Path, default=common.EXAMPLES / "photos")
    parser.add_argument("--paintings", type=Path, default=common.EXAMPLES / "paintings")
    parser.add_argument("--into", type=Path, default=Path("docs/gallery"))
    arguments = parser.parse_args()
    folder = arguments.into / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    photos, paintings = sorted(arguments.photos.iterdir()), sorted(arguments.paintings.iterdir())
    made = {
        (photo, painting): folder / f"{arguments.preset}_{photo.stem}_{painting.stem}.png"
        for shift in range(len(paintings))
        for row, photo in enumerate(photos)
        for painting in [paintings[(row + shift) % len(paintings)]]
    }
    rows = []
    for (photo, painting), path in made.items():
        if path.exists():
            continue
        result = impasto.stylize(photo, painting, preset=arguments.preset, size=arguments.size)
        result.save(path)
        numbers = asdict(impasto.evaluate(path, photo, painting))
        rows.append({"pair": path.stem, "seconds": result.seconds, **numbers})
        print(path.stem, f"{result.seconds:.1f} s", flush=True)
        sheet(photos, paintings, made, arguments.into / f"{arguments.preset}.jpg")
    names = [name for name in (rows[0] if rows else {}) if name != "pair"]
    medians = {name: statistics.median(row[name] for row in rows) for name in names}
    print(medians)
    common.finish(arguments, {"medians": medians, "rows": rows})


def sheet(
    photos: list[Path], paintings: list[Path], made: dict[tuple[Path, Path], Path], into: Path
) -> None:
    """Paintings across, photos down."""

    def panel(path: Path) -> Panel:
        if not path.exists():
            return Panel(None)
        image = Image.open(path).convert("RGB")
        image.thumbnail((PANEL_PX, PANEL_PX), Image.Resampling.LANCZOS)
        return Panel(image)

    rows = [[Panel(None), *map(panel, paintings)]]
    for photo in photos:
        rows.append([panel(photo), *(panel(made[photo, painting]) for painting in paintings)])
    contact_sheet(rows).save(into, quality=82)


if __name__ == "__main__":
    main()
