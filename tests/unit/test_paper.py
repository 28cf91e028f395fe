from __future__ import annotations

import io

import pytest
from PIL import Image

import impasto
from impasto.images.paper import long_side_px, paper_mm


@pytest.mark.parametrize(
    ("paper", "sides"),
    [
        ("A4", (210, 297)), ("a2", (420, 594)), ("A0", (841, 1189)), ("30x40cm", (300, 400)),
        ("10 × 8 in", (203.2, 254)), ("50x50mm", (50, 50)),
    ],
)  # fmt: skip
def test_papers(paper, sides):
    assert paper_mm(paper) == pytest.approx(sides)


def test_a_picture_is_as_large_as_the_paper_holds():
    assert long_side_px(3000, 4000, "A4", 300) == round(4000 * 210 / 3000 / 25.4 * 300)
    assert long_side_px(4000, 3000, "A4", 300) == long_side_px(3000, 4000, "A4", 300)
    assert long_side_px(100, 1000, "A4", 254) == 2970


@pytest.mark.parametrize("paper", ["A11", "letter", "0x10cm", "10x10", "1.2.3x4cm", "", "A"])
def test_no_papers(paper, photo, painting):
    with pytest.raises(impasto.ImpastoError, match="a paper size is like A2"):
        impasto.prepare(photo, painting, print=paper)


def test_too_large_a_print(photo, painting):
    with pytest.raises(impasto.ImpastoError, match="A0 at 1200 dpi would be 5"):
        impasto.prepare(photo, painting, method="instant", print="A0", dpi=1200)


@pytest.mark.parametrize("format", ["png", "jpeg", "tiff", "webp"])
def test_the_file_says_how_large_it_is_printed(format, photo, painting):
    result = impasto.stylize(photo, painting, method="instant", print="5x5cm", dpi=100)
    assert result.width == 197
    image = Image.open(io.BytesIO(result.encode(format)))
    dpi = image.info.get("dpi") or (image.getexif()[282], image.getexif()[283])
    assert [round(float(each)) for each in dpi] == [100, 100]


def test_16_bits_too(photo, painting):
    result = impasto.stylize(photo, painting, method="instant", print="5x5cm", dpi=100)
    image = Image.open(io.BytesIO(result.encode(bit_depth=16)))
    assert round(image.info["dpi"][0]) == 100
