from __future__ import annotations

import json
from dataclasses import fields

import pytest
from PIL import Image

from impasto.cli.commands.evaluate import MEANINGS
from impasto.measures.evaluation import Evaluation


def test_the_table_explains_every_number(impasto, photo, painting, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    ran = impasto("evaluate", painting, "--content", photo, "--style", painting)
    assert list(MEANINGS) == [field.name for field in fields(Evaluation)]
    for name, (_, meaning) in MEANINGS.items():
        (line,) = (line for line in ran.out.splitlines() if name.replace("_", " ") in line)
        assert meaning in line, "one line each on 80 columns"
    assert ran.err == ""


def test_as_json(impasto, photo, painting):
    ran = impasto("evaluate", photo, "--content", photo, "--style", painting, "--json")
    numbers = json.loads(ran.out)
    assert list(numbers) == [*(field.name for field in fields(Evaluation)), "costs"]
    assert numbers["costs"]["content"] == 0
    assert numbers["costs"]["total"] == numbers["costs"]["style"] > 0
    assert numbers["content_features"] == 0
    assert numbers["content_ssim"] == 1
    assert numbers["palette"] > 0


def test_several_styles(impasto, photo, painting):
    flags = ("--content", photo, "--json", "--style", painting)
    one = json.loads(impasto("evaluate", painting, *flags).out)
    both = json.loads(impasto("evaluate", painting, *flags, "--style", photo).out)
    assert one["palette"] == 0
    assert both["palette"] > 0


@pytest.mark.parametrize("missing", ["--content", "--style"])
def test_both_images_are_needed(impasto, photo, missing):
    given = {"--content": photo, "--style": photo}
    del given[missing]
    assert missing in impasto("evaluate", photo, *next(iter(given.items()))).sentence()


def test_bad_input_is_one_sentence(impasto, photo, painting, tmp_path):
    flags = ("--content", photo, "--style", painting)
    assert "no such file" in impasto("evaluate", "none.png", *flags).sentence()
    assert "no such file" in impasto("evaluate", photo, *flags, "--style", "no.png").sentence()
    Image.new("RGB", (1024, 40)).save(tmp_path / "strip.png")
    assert "at least 32 px" in impasto("evaluate", tmp_path / "strip.png", *flags).sentence()
    refused = impasto("evaluate", photo, *flags, "--max-megapixels", "0.001")
    assert "megapixel" in refused.sentence().lower() or "Mpx" in refused.err
