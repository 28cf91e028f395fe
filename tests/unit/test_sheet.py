"""Contact sheets, and how a series of settings is laid out on one."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageColor

from impasto.base.errors import RecipeError
from impasto.images.sheet import MISSING, Panel, contact_sheet, thumbnail
from impasto.library import series


def coloured(*colours: str, size: tuple[int, int] = (60, 40)) -> list[Image.Image]:
    return [Image.new("RGB", size, colour) for colour in colours]


def area(sheet: Image.Image, colour: str) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of a colour."""
    wanted = np.array(Image.new("RGB", (1, 1), colour))[0, 0]
    ys, xs = np.nonzero((np.asarray(sheet) == wanted).all(axis=2))
    return xs.min(), ys.min(), xs.max() + 1, ys.max() + 1


def has_ink(sheet: Image.Image, box: tuple[int, int, int, int]) -> bool:
    return bool(np.asarray(sheet.crop(box).convert("L")).min() < 128)


def test_pictures_stand_in_rows_and_columns_of_one_size():
    red, green, blue, black = coloured("red", "lime", "blue", "#010101")
    sheet = contact_sheet([[Panel(red), Panel(green)], [Panel(blue), Panel(black)]])
    places = [area(sheet, colour) for colour in ("red", "lime", "blue", "#010101")]
    assert {(right - left, bottom - top) for left, top, right, bottom in places} == {(60, 40)}
    assert places[0][0] == places[2][0] < places[1][0] == places[3][0]
    assert places[0][1] == places[1][1] < places[2][1] == places[3][1]
    assert sheet.getpixel((0, 0)) == sheet.getpixel((sheet.width - 1, sheet.height - 1))
    assert sheet.getpixel((0, 0)) == (255, 255, 255)


def test_labels_stand_above_columns_and_left_of_rows():
    (red,) = coloured("red", size=(200, 100))
    sheet = contact_sheet([[Panel(red)]], column_labels=["size=64"], row_labels=["seed=1"])
    left, top, right, bottom = area(sheet, "red")
    assert has_ink(sheet, (left, 0, right, top))
    assert has_ink(sheet, (0, top, left, bottom))
    bare = contact_sheet([[Panel(red)]])
    assert area(bare, "red")[:2] < (left, top)


def test_a_label_wider_than_its_picture_widens_the_cells():
    red, green = coloured("red", "lime", size=(48, 48))
    label = "content_layers=block4_conv2"
    sheet = contact_sheet([[Panel(red, label), Panel(green, label)]])
    assert area(sheet, "lime")[0] - area(sheet, "red")[2] > 48
    endless = contact_sheet([[Panel(red, "x" * 5000)]])
    assert endless.width < 1000


def test_large_pictures_shrink_and_many_shrink_more():
    (red,) = coloured("red", size=(2000, 1000))
    one = area(contact_sheet([[Panel(red)]]), "red")
    assert (one[2] - one[0], one[3] - one[1]) == (512, 256)
    many = contact_sheet([[Panel(thumbnail(red), "seed=1")] * 30] * 30)
    assert max(many.size) < 6500


def test_pictures_of_different_sizes_are_shown_alike():
    (small,), (large,) = coloured("red", size=(30, 20)), coloured("lime", size=(90, 60))
    sheet = contact_sheet([[Panel(small), Panel(large)]])
    for colour in ("red", "lime"):
        left, top, right, bottom = area(sheet, colour)
        assert (right - left, bottom - top) == (90, 60)


def test_transparency_becomes_white():
    sheet = contact_sheet([[Panel(Image.new("RGBA", (50, 50), (255, 0, 0, 0)))]])
    assert np.asarray(sheet).min() == 255


def test_a_missing_picture_leaves_its_place_grey():
    red, green = coloured("red", "lime")
    sheet = series.sheet({"steps": [1, 2], "seed": [1, 2]}, [red, green, red])
    (left, _, right, _), (_, _, _, bottom) = area(sheet, "lime"), area(sheet, "red")
    place = (left + right) // 2, bottom - 1
    assert sheet.getpixel(place) == ImageColor.getrgb(MISSING)


def test_rows_that_were_not_begun_are_left_out():
    red, green = coloured("red", "lime")
    grid = {"steps": [1, 2], "seed": [1, 2, 3]}
    assert series.sheet(grid, [red, green]).height < series.sheet(grid, [red, green, red]).height


@pytest.mark.parametrize(
    ("count", "columns", "rows"),
    [(1, 1, 1), (3, 3, 1), (4, 4, 1), (6, 3, 2), (9, 3, 3), (10, 4, 3)],
)
def test_one_setting_is_wrapped_into_rows(count, columns, rows):
    sheet = series.sheet({"seed": range(count)}, coloured(*["red"] * count, size=(60, 60)))
    one = series.sheet({"seed": [0]}, coloured("red", size=(60, 60)))
    assert sheet.width // (one.width - 6) == columns
    assert sheet.height // (one.height - 6) == rows


def test_the_first_setting_goes_across():
    assert series.combinations({"steps": [1, 2], "seed": [7, 8]}) == [
        {"steps": 1, "seed": 7},
        {"steps": 2, "seed": 7},
        {"steps": 1, "seed": 8},
        {"steps": 2, "seed": 8},
    ]


def test_grids_that_make_no_sense():
    for grid, words in (
        ({}, "one or two settings"),
        ({"seed": [1], "steps": [1], "size": [64]}, "one or two settings"),
        ({"stepz": [1]}, "did you mean 'steps'"),
        ({"steps": []}, "at least one value"),
    ):
        with pytest.raises(RecipeError, match=words):
            series.combinations(grid)
