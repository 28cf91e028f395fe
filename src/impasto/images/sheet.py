"""A contact sheet: many pictures on one, with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

PANEL_LONG_SIDE_PX = 512
MIN_PANEL_PX = 32
SHEET_LONG_SIDE_PX = 6000
LABEL_CHARACTERS = 48  # a longer label is cut short

BACKGROUND = "white"
INK = "#222222"
MISSING = "#f2f2f2"

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Panel:
    """A picture of the sheet, with words above it; a place without a picture stays grey."""

    image: Image.Image | None
    caption: str = ""


def contact_sheet(
    rows: Sequence[Sequence[Panel]],
    *,
    column_labels: Sequence[str] = (),
    row_labels: Sequence[str] = (),
) -> Image.Image:
    """The pictures in rows, on white: column labels above the first row, row labels at the left.

    All cells are of one size. Pictures are scaled to fit them: their long side is that of the
    largest, at most 512 px and so small that the sheet has less than about 6000 px.
    """
    columns = max(len(row) for row in rows)
    box = _panel_size(rows, columns)
    text = max(12, max(box) // 20)
    font = ImageFont.load_default(text)
    gap, line = max(6, max(box) // 24), round(1.8 * text)

    captions = [panel.caption for row in rows for panel in row]
    caption_height = line if any(captions) else 0
    left = _widest(row_labels, font) + 2 * gap if row_labels else gap
    top = line + gap // 2 if column_labels else gap
    cell_width = max(box[0], _widest([*captions, *column_labels], font))
    across, down = cell_width + gap, caption_height + box[1] + gap

    sheet = Image.new("RGB", (left + columns * across, top + len(rows) * down), BACKGROUND)
    draw = ImageDraw.Draw(sheet)

    def write(label: str, x: float, y: float, anchor: str) -> None:
        draw.text((x, y), _short(label), fill=INK, font=font, anchor=anchor)

    for column, label in enumerate(column_labels):
        write(label, left + column * across + cell_width / 2, top / 2, "mm")
    for row, panels in enumerate(rows):
        y = top + row * down + caption_height
        if row_labels:
            write(row_labels[row], left - gap, y + box[1] / 2, "rm")
        for column, panel in enumerate(panels):
            x = left + column * across
            write(panel.caption, x + cell_width / 2, y - caption_height / 2, "mm")
            sheet.paste(_fitted(panel.image, box), (x + (cell_width - box[0]) // 2, y))
    return sheet


def thumbnail(image: Image.Image) -> Image.Image:
    """All of a picture that a sheet has room for: what to keep of it until then."""
    copy = image.copy()
    copy.thumbnail((PANEL_LONG_SIDE_PX, PANEL_LONG_SIDE_PX), Image.Resampling.LANCZOS)
    return copy


def _panel_size(rows: Sequence[Sequence[Panel]], columns: int) -> tuple[int, int]:
    """(width, height) of a cell's picture."""
    images = [panel.image for row in rows for panel in row if panel.image is not None]
    room = SHEET_LONG_SIDE_PX / (1.1 * max(columns, len(rows)))  # a tenth for gaps and labels
    longest = max((max(image.size) for image in images), default=PANEL_LONG_SIDE_PX)
    long_side = max(MIN_PANEL_PX, min(PANEL_LONG_SIDE_PX, longest, int(room)))
    fitted = [_contained(image, long_side) for image in images]
    return (
        max((width for width, _ in fitted), default=long_side),
        max((height for _, height in fitted), default=long_side),
    )


def _fitted(image: Image.Image | None, box: tuple[int, int]) -> Image.Image:
    """The picture in the middle of a panel of that size."""
    if image is None:
        return Image.new("RGB", box, MISSING)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image)
    small = image.convert("RGB").resize(_contained(image, max(box)), Image.Resampling.LANCZOS)
    panel = Image.new("RGB", box, BACKGROUND)
    panel.paste(small, ((box[0] - small.width) // 2, (box[1] - small.height) // 2))
    return panel


def _contained(image: Image.Image, long_side: int) -> tuple[int, int]:
    """(width, height) with that long side."""
    factor = long_side / max(image.size)
    return max(1, round(image.width * factor)), max(1, round(image.height * factor))


def _short(label: str) -> str:
    return label if len(label) <= LABEL_CHARACTERS else f"{label[: LABEL_CHARACTERS - 1]}…"


def _widest(labels: Sequence[str], font: Font) -> int:
    return max((round(font.getlength(_short(label))) for label in labels), default=0)
