"""``impasto CONTENT STYLE``: every flag, as a person would use it."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import command
from PIL import Image

from impasto.methods.optimize.settings import OptimizeSettings
from impasto.settings.build import build
from impasto.settings.methods import METHODS, all_settings

QUICK = ("--preset", "tutorial", "--size", "48", "--steps", "4")


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_the_picture_lands_beside_the_photo_under_a_new_name(impasto, photo, painting):
    first = impasto(photo, painting, *QUICK)
    assert first.code == 0
    assert first.out.strip() == str(photo.with_name("photo_painting.png"))
    assert "computing on cpu in" in first.err
    assert "48×32 px, 4 steps in" in first.err
    again = impasto("stylize", photo, painting, *QUICK)
    assert again.out.strip() == str(photo.with_name("photo_painting-2.png"))
    assert pixels(first.out.strip()).shape == (32, 48, 3)
    np.testing.assert_array_equal(pixels(first.out.strip()), pixels(again.out.strip()))


def test_an_output_that_exists_is_replaced_only_by_force(impasto, photo, painting, tmp_path):
    out = tmp_path / "out.png"
    out.write_text("precious")
    assert "exists already" in impasto(photo, painting, *QUICK, "-o", out).sentence()
    assert out.read_text() == "precious"
    assert impasto(photo, painting, *QUICK, "-o", out, "--force").code == 0
    assert pixels(out).shape == (32, 48, 3)


@pytest.mark.parametrize(
    ("name", "format"), [("a.jpg", "JPEG"), ("a.webp", "WEBP"), ("a.tif", "TIFF"), ("a.png", "PNG")]
)
def test_the_extension_chooses_the_format(name, format, impasto, photo, painting, tmp_path):
    assert impasto(photo, painting, *QUICK, "-o", tmp_path / name).code == 0
    assert Image.open(tmp_path / name).format == format


def test_format_and_bit_depth(impasto, photo, painting, tmp_path):
    named = impasto(photo, painting, *QUICK, "--format", "webp").out.strip()
    assert named.endswith("photo_painting.webp")
    assert impasto(photo, painting, *QUICK, "-o", tmp_path / "noext", "--format", "png").code == 0
    deep = tmp_path / "deep.png"
    assert impasto(photo, painting, *QUICK, "-o", deep, "--bit-depth", "16").code == 0
    assert deep.read_bytes()[24] == 16
    refused = impasto(photo, painting, *QUICK, "-o", tmp_path / "a.jpg", "--bit-depth", "16")
    assert "16 bits per channel need PNG or TIFF" in refused.sentence()


def test_json_is_one_object_with_everything(impasto, photo, painting, tmp_path):
    out = tmp_path / "out.png"
    ran = impasto(photo, painting, *QUICK, "-o", out, "--json", "--trace-every", "2")
    report = json.loads(ran.out)
    assert set(report) == {
        "output", "width", "height", "steps", "seconds", "steps_per_second", "device",
        "precision", "peak_rss_mb", "recipe", "losses",
    }  # fmt: skip
    assert (report["output"], report["width"], report["height"]) == (str(out), 48, 32)
    assert report["steps"] == 4
    assert report["steps_per_second"] == pytest.approx(4 / report["seconds"], rel=0.05)
    assert report["peak_rss_mb"] > 100
    assert OptimizeSettings.model_validate(report["recipe"]).steps == 4
    trace = report["losses"]["trace"]
    assert [row["step"] for row in trace] == [0, 2, 4]
    assert all(set(row) == {"step", "scale", "content", "style", "tv", "total"} for row in trace)
    assert report["losses"]["first"] == trace[0]
    assert report["losses"]["last"] == trace[-1]


def test_quiet_says_nothing(impasto, photo, painting):
    assert impasto(photo, painting, *QUICK, "--quiet").err == ""


def test_lines_when_there_is_no_terminal(impasto, photo, painting):
    lines = impasto(photo, painting, *QUICK).err.splitlines()
    assert any(line.startswith("step 0/4") for line in lines)
    assert any(line.startswith("step 4/4") and "loss" in line and "left" in line for line in lines)


def test_the_bar_on_a_terminal(photo, painting, tmp_path):
    """In a real pseudo-terminal."""
    pty = pytest.importorskip("pty", reason="there are no pseudo-terminals here")
    import os

    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "impasto", photo, painting, *QUICK, "-o", tmp_path / "o.png"],
        stderr=other,
        stdout=subprocess.PIPE,
        env={**os.environ, "COLUMNS": "120", "TERM": "xterm"},
    )
    os.close(other)
    shown = b""
    while process.poll() is None or shown.count(b"4/4") == 0:
        try:
            shown += os.read(main, 4096)
        except OSError:
            break
    assert process.wait() == 0
    assert b"4/4" in shown
    assert "steps/s" in shown.decode(errors="replace")


def test_standard_input_and_output(photo, painting):
    ran = command("-", painting, *QUICK, "-o", "-", "--quiet", input=photo.read_bytes())
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == b""
    assert Image.open(io.BytesIO(ran.stdout)).size == (48, 32)


def test_standard_streams_carry_one_thing_each(impasto, photo, painting):
    assert "standard output" in impasto(photo, painting, "-o", "-", "--json").sentence()
    assert "only one image" in impasto("-", "-").sentence()
    assert (
        "--save-every needs a file"
        in impasto(photo, painting, *QUICK, "-o", "-", "--save-every", "2", "--quiet").sentence()
    )


@pytest.mark.parametrize(("method", "preset"), [("optimize", "gatys"), ("instant", "instant")])
def test_every_setting_of_the_recipe_is_a_flag(method, preset, impasto, photo, painting, tmp_path):
    half, other = tmp_path / "half.png", tmp_path / "other.png"
    for path, box in ((half, (0, 0, 20, 32)), (other, (0, 0, 48, 10))):
        mask = Image.new("L", (48, 32))
        mask.paste(255, box)
        mask.save(path)
    settings = {
        "size": 64, "resize": "tutorial", "init": "noise", "seed": 7, "pooling": "avg",
        "unit_activations": True, "content_layers": {"block4_conv2": 1.0, "block5_conv1": 0.5},
        "style_layers": {"block1_conv1": 1.0, "block3_conv1": 2.0}, "loss_form": "paper",
        "plain_style_layers": {"block2_conv1": 1.0}, "style_goal": 0.1, "figures": 0.5,
        "palette": 0.4, "polish": 1,
        "content_weight": 0.5, "style_weight": 2.0, "tv_weight": 0.25, "tv_norm": "l2",
        "steps": 3, "scales": 2, "step_ratio": 0.75, "solver": "lbfgs", "lr": 0.5,
        "adam_beta1": 0.8, "adam_beta2": 0.9, "adam_epsilon": 0.01, "adam_epsilon_form": "torch",
        "lbfgs_history": 5, "device": "cpu", "precision": "float32", "trace_every": 1,
        "weights": "vgg19-caffe-q8", "until": "converged", "tolerance": 0.02, "time_budget": 30.0,
        "max_memory": 4.0, "style_loss": {"w2": 1.0, "gram": 0.5},
        "content_loss": "self-similarity", "balance": "gradient", "strength": 0.8,
        "style_scale": 1.5, "color": "match", "mask": str(half), "feather": 2.0,
        "underpaint": 0.5, "detail": 0.5, "region": {str(other): str(painting)},
        "style_mask": (str(half),), "work_size": 48, "trim": 3.0, "seamless": True,
        "print": "8x8cm", "dpi": 20, "enlarge": "guided", "mix": 0.5, "statistics": "thumbnail",
        "kernel": "plain",
    }  # fmt: skip
    assert set(settings) == set(all_settings()) - {"preset", "method"}
    own = METHODS[method].settings.model_fields
    settings = {name: value for name, value in settings.items() if name in own}
    flags = []
    for name, value in settings.items():
        if name == "region":
            value = f"{other}={painting}"
        elif isinstance(value, dict):
            value = ",".join(f"{layer}:{weight}" for layer, weight in value.items())
        elif isinstance(value, tuple):
            value = value[0]
        flags += [f"--{name.replace('_', '-')}", str(value)]
    report = json.loads(impasto(photo, painting, *flags, "--json", "--preset", preset).out)
    assert report["recipe"] == build(settings, preset=preset).model_dump(mode="json")


def test_all_flags_are_in_the_help(impasto):
    for words in (("--help",), ("stylize", "--help"), ("-h",)):
        text = impasto(*words).out
        for name in all_settings():
            if name not in ("preset", "method"):
                assert f"--{name.replace('_', '-')} " in text
        for flag in (
            "--output", "--format", "--bit-depth", "--no-metadata", "--force", "--preset",
            "--recipe", "--save-every", "--checkpoint", "--checkpoint-every", "--resume",
            "--dry-run", "--json", "--quiet", "--max-megapixels", "--max-megabytes", "--debug",
        ):  # fmt: skip
            assert flag in text


def test_the_help_shows_what_each_flag_takes(impasto):
    # Descriptions, which may mention other flags, are indented further.
    shown = dict(re.findall(r"^  (--\S+) (\S+)", impasto("stylize", "--help").out, re.MULTILINE))
    assert shown["--region"] == "MASK=PAINTING"
    assert shown["--style-layers"] == shown["--content-layers"] == shown["--style-loss"] == "NAMES"
    assert (shown["--steps"], shown["--strength"]) == ("N", "X")


def test_several_weighted_styles(impasto, photo, painting, tmp_path):
    odd = tmp_path / "a:0.5"  # a path with a colon is a path
    odd.write_bytes(painting.read_bytes())
    out = tmp_path / "o.png"
    assert impasto(photo, f"{painting}:3", odd, *QUICK, "-o", out).code == 0
    image: Any = Image.open(out)
    note = json.loads(image.text["impasto"])
    assert [style["weight"] for style in note["styles"]] == [0.75, 0.25]
    assert [style["name"] for style in note["styles"]] == [painting.name, odd.name]


def test_intermediate_pictures(impasto, photo, painting, tmp_path):
    for folder in ("photo_painting-steps", "photo_painting-2-steps"):
        assert impasto(photo, painting, *QUICK, "--save-every", "2").code == 0
        names = sorted(path.name for path in (tmp_path / folder).iterdir())
        assert names == ["00000.png", "00002.png", "00004.png"]
    last = tmp_path / "photo_painting-steps/00004.png"
    np.testing.assert_array_equal(pixels(last), pixels(tmp_path / "photo_painting.png"))


def test_dry_run_says_what_it_would_take_and_does_nothing(impasto, photo, painting, tmp_path):
    before = sorted(tmp_path.iterdir())
    text = impasto(photo, painting, "--dry-run", "--size", "96", "--scales", "2").out
    for expected in ("photo_painting.png", "48×32 px", "96×64 px", "memory", "time"):
        assert expected in text
    report = json.loads(impasto(photo, painting, *QUICK, "--dry-run", "--json").out)
    assert report["scales"] == [{"width": 48, "height": 32, "steps": 4}]
    assert report["seconds"] > 0
    assert report["memory_mb"] > 0
    assert sorted(tmp_path.iterdir()) == before


# --- Recipes --------------------------------------------------------------------------------------


def test_a_picture_makes_itself_again(impasto, photo, painting, tmp_path):
    first, again = tmp_path / "first.png", tmp_path / "again.png"
    assert impasto(photo, painting, *QUICK, "--seed", "5", "--init", "noise", "-o", first).code == 0
    assert impasto("--recipe", first, "-o", again).code == 0
    assert first.read_bytes() == again.read_bytes()


def test_a_pictures_recipe_serves_for_other_images(impasto, photo, painting, tmp_path):
    first, other = tmp_path / "first.png", tmp_path / "other.webp"
    impasto(photo, painting, *QUICK, "-o", first)
    ran = impasto(painting, photo, "--recipe", first, "--steps", "2", "-o", other, "--json")
    assert json.loads(ran.out)["recipe"]["steps"] == 2
    assert Image.open(other).size == (38, 48)


def test_a_recipe_in_toml(impasto, photo, painting, tmp_path):
    recipe = tmp_path / "look.toml"
    recipe.write_text('preset = "tutorial"\nsize = 48\nsteps = 2\n')
    assert json.loads(impasto(photo, painting, "--recipe", recipe, "--json").out)["steps"] == 2


def test_images_that_moved_or_changed(impasto, photo, painting, tmp_path):
    out = tmp_path / "out.png"
    impasto(photo, painting, *QUICK, "-o", out)
    Image.open(painting).transpose(Image.Transpose.ROTATE_180).save(painting)
    changed = impasto("--recipe", out, "-o", tmp_path / "again.png")
    assert changed.code == 0
    assert "isn't the same file" in changed.err
    painting.unlink()
    sentence = impasto("--recipe", out, "-o", tmp_path / "third.png").sentence()
    assert "was made from" in sentence
    assert "painting.png" in sentence


def test_a_picture_moved_together_with_its_images(impasto, photo, painting, tmp_path):
    impasto(photo, painting, *QUICK, "-o", tmp_path / "out.png")
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in (photo, painting, tmp_path / "out.png"):
        path.rename(moved / path.name)
    assert impasto("--recipe", moved / "out.png", "-o", tmp_path / "again.png").code == 0


def test_no_metadata(impasto, photo, painting, tmp_path):
    out = tmp_path / "out.png"
    impasto(photo, painting, *QUICK, "-o", out, "--no-metadata")
    assert b"recipe" not in out.read_bytes()
    assert "holds no recipe" in impasto("--recipe", out).sentence()


# --- Stopping and going on ------------------------------------------------------------------------


def start(*arguments) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "impasto", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Where the tests run in the background, SIGINT would be ignored from the start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for_step(process: subprocess.Popen[bytes]) -> None:
    for line in process.stderr:
        if line.startswith(b"step"):
            return
    raise AssertionError("it ended before its first step")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_keeps_the_picture_and_the_checkpoint(number, code, photo, painting, tmp_path):
    out, checkpoint = tmp_path / "out.png", tmp_path / "run.checkpoint"
    process = start(
        photo, painting, "--preset", "tutorial", "--size", "96", "-o", out,
        "--checkpoint", checkpoint, "--checkpoint-every", "1000",
    )  # fmt: skip
    wait_for_step(process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert stdout.decode().strip() == str(out)
    assert b"stopped at step " in stderr
    assert f"impasto --resume {checkpoint}".encode() in stderr
    assert b"Traceback" not in stderr
    assert Image.open(out).size == (96, 64)
    assert checkpoint.exists()


@pytest.mark.parametrize("times", [2, 8])
def test_pressing_ctrl_c_again_and_again_keeps_the_picture_too(times, photo, painting, tmp_path):
    out = tmp_path / "out.png"
    process = start(photo, painting, "--preset", "tutorial", "--size", "256", "-o", out)
    wait_for_step(process)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.03)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert b"stopped at step" in stderr
    assert Image.open(out).size == (256, 170)
    assert not list(tmp_path.glob(".impasto-*"))


def test_ctrl_c_before_the_first_step(photo, painting, tmp_path):
    process = start(photo, painting, "--size", "96", "-o", tmp_path / "out.png")
    maps = Path(f"/proc/{process.pid}/maps")
    while process.poll() is None and maps.exists() and "torch" not in maps.read_text():
        time.sleep(0.01)  # until it is importing torch
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in stderr
    assert not list(tmp_path.glob(".impasto-*"))


def test_resuming_after_kill_9_equals_an_uninterrupted_run(photo, painting, tmp_path):
    settings = ("--preset", "gatys", "--size", "96", "--steps", "40", "--precision", "float32")
    whole, out, checkpoint = tmp_path / "whole.png", tmp_path / "out.png", tmp_path / "run"
    assert command(photo, painting, *settings, "-o", whole).returncode == 0
    process = start(
        photo, painting, *settings, "-o", out, "--checkpoint", checkpoint, "--checkpoint-every", 0
    )
    while not checkpoint.exists():
        time.sleep(0.01)
    time.sleep(0.3)
    process.kill()
    process.wait()
    assert not out.exists()
    resumed = command("--resume", checkpoint, "-o", out)
    assert resumed.returncode == 0, resumed.stderr
    assert out.read_bytes() == whole.read_bytes()


def test_a_finished_run_goes_on_to_more_steps(impasto, photo, painting, tmp_path):
    checkpoint, out, more = tmp_path / "run", tmp_path / "out.png", tmp_path / "more.png"
    impasto(photo, painting, *QUICK, "-o", out, "--checkpoint", checkpoint)
    assert impasto("--resume", checkpoint, "--steps", 6, "-o", more).code == 0
    whole = tmp_path / "whole.png"
    impasto(photo, painting, *QUICK[:-1], "6", "-o", whole)
    np.testing.assert_array_equal(pixels(more), pixels(whole))


def test_resume_takes_nothing_else(impasto, photo, painting, tmp_path):
    checkpoint = tmp_path / "run"
    impasto(photo, painting, *QUICK, "--checkpoint", checkpoint)
    for extra in ((photo, painting), ("--size", "64"), ("--preset", "gatys")):
        assert "--resume goes on" in impasto("--resume", checkpoint, *extra).sentence()
    assert "whole number" in impasto("--resume", checkpoint, "--steps", "x").sentence()
    occupied = impasto(photo, painting, *QUICK, "--checkpoint", checkpoint)
    assert "exists already" in occupied.sentence()


def test_a_picture_that_cannot_be_written_any_more_is_kept_elsewhere(
    impasto, photo, painting, tmp_path, monkeypatch
):
    rescue = tmp_path / "rescue"
    rescue.mkdir()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(rescue))
    folder = tmp_path / "folder"
    folder.mkdir()
    from impasto.runs.result import Result

    encode = Result.encoding

    def pull_the_plug(self, *arguments, **options):
        folder.rmdir()
        return encode(self, *arguments, **options)

    monkeypatch.setattr(Result, "encoding", pull_the_plug)
    ran = impasto(photo, painting, *QUICK, "-o", folder / "out.png", "--quiet")
    assert f"the picture was kept as {rescue / 'out.png'}" in ran.sentence()
    assert pixels(rescue / "out.png").shape == (32, 48, 3)


def test_a_name_taken_during_the_run_is_not_overwritten(
    impasto, photo, painting, tmp_path, monkeypatch
):
    out = tmp_path / "out.png"
    from impasto.runs.result import Result

    encode = Result.encoding

    def meanwhile(self, *arguments, **options):
        out.write_text("precious")
        return encode(self, *arguments, **options)

    monkeypatch.setattr(Result, "encoding", meanwhile)
    ran = impasto(photo, painting, *QUICK, "-o", out)
    assert ran.out.strip() == str(tmp_path / "out-2.png")
    assert out.read_text() == "precious"
