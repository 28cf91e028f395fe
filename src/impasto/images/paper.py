"""How many pixels a print has."""

from __future__ import annotations

import re

from impasto.base.errors import RecipeError

MM_PER_INCH = 25.4
UNITS_MM = {"mm": 1.0, "cm": 10.0, "in": MM_PER_INCH}
DEFAULT_DPI = 300
"""Dots per inch of a good print seen from half an arm's length."""


def paper_mm(paper: str) -> tuple[float, float]:
    """``A2``, ``30x40cm``, ``8x10in`` → short and long side, mm. Raises RecipeError."""
    text = paper.strip().lower().replace(" ", "").replace("×", "x")
    if match := re.fullmatch(r"a(\d|10)", text):
        long, short = 1189, 841  # ISO 216: every size is half of the one before, in whole mm
        for _ in range(int(match[1])):
            long, short = short, long // 2
        return float(short), float(long)
    if match := re.fullmatch(r"([\d.]+)x([\d.]+)(mm|cm|in)", text):
        try:
            sides = sorted(float(side) * UNITS_MM[match[3]] for side in match.groups()[:2])
        except ValueError:
            sides = [0.0]
        if sides[0] > 0:
            return sides[0], sides[1]
    raise RecipeError(f"a paper size is like A2, 30x40cm or 8x10in, not {paper!r}")


def long_side_px(height: int, width: int, paper: str, dpi: int) -> int:
    """Of a picture of that aspect, as large as the paper holds it, either way round."""
    short_mm, long_mm = paper_mm(paper)
    short, long = sorted((height, width))
    per_pixel_mm = min(long_mm / long, short_mm / short)
    return max(1, round(long * per_pixel_mm / MM_PER_INCH * dpi))
