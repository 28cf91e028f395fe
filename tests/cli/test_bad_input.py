"""Bad input of every kind: one sentence, exit code 2, no traceback, nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from conftest import is_root
from PIL import Image

from impasto.settings.build import build

QUICK = ("--preset", "tutorial", "--size", "48", "--steps", "2")


def bomb() -> bytes:
    """A PNG that says it is 20,000×20,000 px; nothing of it may be decoded."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">2I5B", 20_000, 20_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(60_001) * 20)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "there is no such file"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_text("This is not a picture."), "isn't an image of a known type"),
        (lambda path: Image.new("RGB", (1, 1)).save(path), "1×1 px; both sides need at least 32"),
        (lambda path: path.write_bytes(bomb()), "20000×20000 px; the limit is 200 megapixels"),
        (lambda path: cut_jpeg(path), "is damaged or cut short"),
    ],
)
@pytest.mark.parametrize("which", ["content", "style"])
def test_images(make, sentence, which, impasto, photo, tmp_path):
    bad = tmp_path / "bad.png"
    make(bad)
    before = sorted(tmp_path.iterdir())
    images = (bad, photo) if which == "content" else (photo, bad)
    assert sentence in impasto(*images, *QUICK).sentence()
    assert "bad.png" in impasto(*images, *QUICK).sentence()
    assert sorted(tmp_path.iterdir()) == before


def cut_jpeg(path: Path) -> None:
    noise = Image.effect_noise((200, 200), 80)
    noise.save(path, format="JPEG")
    path.write_bytes(path.read_bytes()[:2000])


def test_a_file_that_may_not_be_read(impasto, photo, tmp_path, monkeypatch):
    secret = tmp_path / "secret.png"
    secret.write_bytes(photo.read_bytes())
    secret.chmod(0)
    if is_root():  # who may read everything
        path_open = Path.open

        def refuse(self, *arguments, **options):
            if self.name == "secret.png":
                raise PermissionError(13, "Permission denied")
            return path_open(self, *arguments, **options)

        monkeypatch.setattr(Path, "open", refuse)
    assert "can't be read: permission denied" in impasto(secret, photo).sentence()


def test_a_folder_that_may_not_be_written_to(impasto, photo, painting, tmp_path):
    folder = Path("/proc") if is_root() else tmp_path / "locked"
    if not is_root():
        folder.mkdir(mode=0o555)
    elif not folder.is_dir():
        pytest.skip("root may write everywhere here")
    sentence = impasto(photo, painting, *QUICK, "-o", folder / "out.png").sentence()
    assert "can't be written" in sentence


def test_a_folder_that_is_not_there(impasto, photo, painting, tmp_path):
    sentence = impasto(photo, painting, "-o", tmp_path / "none" / "out.png").sentence()
    assert "there is no folder" in sentence
    assert "is a folder" in impasto(photo, painting, "-o", tmp_path).sentence()


def test_links_and_devices_are_not_replaced(impasto, photo, painting, tmp_path):
    link, target = tmp_path / "link.png", tmp_path / "target.png"
    link.symlink_to(target)
    assert "exists already" in impasto(photo, painting, *QUICK, "-o", link).sentence()
    assert impasto(photo, painting, *QUICK, "-o", link, "--force").code == 0
    assert link.is_symlink()
    assert target.is_file()
    sentence = impasto(photo, painting, "-o", "/dev/null", "--format", "png", "--force").sentence()
    assert "is a device" in sentence


def test_standard_output_that_is_full(photo, painting):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    for extra in (("-o", "-"), ("--json", "--force", "-o", photo.with_name("o.png"))):
        with Path("/dev/full").open("wb") as full:
            ran = subprocess.run(
                [sys.executable, "-m", "impasto", photo, painting, *QUICK, "--quiet", *extra],
                stdout=full, stderr=subprocess.PIPE, check=False,
            )  # fmt: skip
        assert ran.returncode == 2
        assert b"standard output can't be written: no space left on device" in ran.stderr


def test_names_longer_than_the_system_allows(impasto, photo, painting, tmp_path):
    sentence = impasto(photo, painting, "-o", tmp_path / f"{'n' * 256}.png").sentence()
    assert "file name too long" in sentence
    assert impasto(photo, painting, *QUICK, "-o", tmp_path / f"{'n' * 250}.png").code == 0
    longest = tmp_path / f"{'p' * 200}.png"
    photo.rename(longest)
    assert impasto(longest, longest, *QUICK).code == 0


def test_a_full_disk(impasto, photo, painting, tmp_path, monkeypatch):
    """Simulated: the first write to the output's folder fails, the rescue succeeds."""
    out, fsync = tmp_path / "out.png", os.fsync

    def full(descriptor: int) -> None:
        if str(tmp_path) == str(Path(f"/proc/self/fd/{descriptor}").readlink().parent):
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    rescue = tmp_path / "rescue"
    rescue.mkdir()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(rescue))
    monkeypatch.setattr("os.fsync", full)
    sentence = impasto(photo, painting, *QUICK, "-o", out, "--quiet").sentence()
    assert "no space left on device" in sentence
    assert "the picture was kept as" in sentence
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "painting.png", "photo.png", "rescue",
    ]  # fmt: skip


def test_a_really_full_disk(impasto, photo, painting, tmp_path):
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "none", str(tiny)]
    if not is_root() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no tiny file system can be mounted here")
    try:
        for extra in (
            ("-o", tiny / "o.png"),
            ("--checkpoint", tiny / "c", "-o", tmp_path / "o.png"),
        ):
            sentence = impasto(photo, painting, *QUICK, "--quiet", *extra).sentence()
            assert "no space left on device" in sentence
            assert list(tiny.iterdir()) == []
        assert (tmp_path / "o.png").exists(), "the picture is worth more than its checkpoint"
    finally:
        subprocess.run(["umount", str(tiny)], check=False)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("-o", "out.pgn"), "no output format '.pgn'; did you mean '.png'"),
        (("-o", "out"), "has no extension"),
        (("--steps", "0"), "steps should be greater than or equal to 1"),
        (("--steps", "ten"), "steps should be a valid integer"),
        (("--size", "8"), "size should be at least 32"),
        (("--style-layers", "block4_con1"), "no layer 'block4_con1'; did you mean"),
        (("--device", "gpu"), "there is no device 'gpu'"),
        (("--device", "cuda:99"), "there is no cuda:99 here"),
        (("--precision", "float16"), "precision should be"),
        (("--preset", "tutorail"), "did you mean 'tutorial'"),
        (("--recipe", "none.toml"), "there is no such recipe"),
        (("--weights", "vgg16"), "there is no weights file 'vgg16'"),
        (("--init", "nothing.png"), "the initial image is one of content, noise, style"),
        (("--style-layers", "relu1_1:0,relu2_1:0"), "weights are all zero"),
        (("--style-weight", "nan"), "style_weight should be a finite number"),
        (("--lr", "-1"), "lr should be greater than 0"),
        (("--resume", "none"), "--resume goes on"),
        (("--stpes", "3"), "--steps"),
        (("--format", "bmp"), "'bmp' is not one of"),
        (("--max-megapixels", "0.0001"), "the limit is 0.0001 megapixels"),
        (("--max-megapixels", "nan"), "nan is not a finite number"),
        (("--max-megabytes", "inf"), "inf is not a finite number"),
        (("--checkpoint-every", "nan"), "nan is not a finite number"),
        (("--content-layers", ""), "no layer was named"),
        (("--size", "32000"), "size 32000|GB of memory"),
        (("--weights", "vgg19-torchvision"), "are missing"),
    ],
)
def test_flags(arguments, sentence, impasto, photo, painting, tmp_path):
    before = sorted(tmp_path.iterdir())
    ran = impasto(photo, painting, *arguments).sentence()
    assert any(part in ran for part in sentence.split("|"))
    assert sorted(tmp_path.iterdir()) == before


def test_pictures_with_a_damaged_note(impasto, photo_image, tmp_path):
    from PIL.PngImagePlugin import PngInfo

    recipe = build().model_dump(mode="json")
    for note, sentence in (
        ({"recipe": 5}, "holds no recipe"),
        ({"recipe": recipe, "styles": 5}, "holds no recipe"),
        ({"recipe": recipe, "content": {}, "styles": [{"weight": "x"}]}, "holds no recipe"),
        ({"recipe": recipe}, "was made from an unnamed image, which isn't here"),
    ):
        information = PngInfo()
        information.add_text("impasto", json.dumps(note))
        photo_image.save(tmp_path / "note.png", pnginfo=information)
        assert sentence in impasto("--recipe", tmp_path / "note.png").sentence()


def test_recipes(impasto, photo, painting, tmp_path):
    recipe = tmp_path / "recipe.toml"
    for content, sentence in (
        ("stepps = 3", "did you mean 'steps'"),
        ("steps = -3", "greater than or equal to 1"),
        ("steps = [", "isn't valid TOML"),
    ):
        recipe.write_text(content)
        assert sentence in impasto(photo, painting, "--recipe", recipe).sentence()
    assert "holds no recipe" in impasto(photo, painting, "--recipe", photo).sentence()
    assert "holds no recipe" in impasto("--recipe", photo).sentence()
    text = tmp_path / "text.png"
    text.write_text("text")
    assert "neither a TOML recipe nor an image" in impasto("--recipe", text).sentence()


def test_style_weights(impasto, photo, painting):
    assert "all zero" in impasto(photo, f"{painting}:0").sentence()
    assert "at least 0" in impasto(photo, f"{painting}:-1").sentence()
    assert "no such file" in impasto(photo, f"{painting}:much").sentence()


def test_images_that_are_missing_from_the_command(impasto, photo):
    assert "at least one style image" in impasto(photo).sentence()
    assert "at least one style image" in impasto("stylize").sentence()


def test_damaged_weights(impasto, photo, painting, tmp_path, monkeypatch):
    from dataclasses import replace

    from impasto.networks import weights
    from impasto.networks.load import load_encoder

    load_encoder.cache_clear()
    wrong = replace(weights.CATALOGUE[weights.DEFAULT], digest="sha256:0")
    monkeypatch.setitem(weights.CATALOGUE, weights.DEFAULT, wrong)
    assert "is damaged" in impasto(photo, painting, *QUICK, "--quiet").sentence()
    assert "is damaged" in impasto("models", "verify").sentence()
    missing = replace(wrong, file="no_such_file.safetensors")
    monkeypatch.setitem(weights.CATALOGUE, weights.DEFAULT, missing)
    assert "are missing" in impasto(photo, painting, *QUICK, "--quiet").sentence()


def test_one_file_is_not_both_checkpoint_and_picture(impasto, photo, painting, tmp_path):
    flags = ("--checkpoint", "x.png", "-o", tmp_path / "x.png", "--force")
    assert "both the checkpoint and the picture" in impasto(photo, painting, *flags).sentence()
    assert not (tmp_path / "x.png").exists()


def test_inspecting_more_than_fits_into_memory(impasto, photo, painting):
    assert "GB of memory" in impasto("inspect", photo, painting, "--size", "32000").sentence()


def test_damaged_checkpoints(impasto, tmp_path):
    (tmp_path / "c").write_bytes(b"nonsense")
    assert "damaged, or isn't a checkpoint" in impasto("--resume", tmp_path / "c").sentence()
    assert "no such checkpoint" in impasto("--resume", tmp_path / "none").sentence()


def test_debug_shows_the_traceback(impasto, photo):
    ran = impasto(photo, "none.png", "--debug")
    assert ran.code == 2
    assert "Traceback" in ran.err
    assert "ImageError" in ran.err


def test_a_bug_is_called_a_bug(impasto, photo, painting, monkeypatch):
    monkeypatch.setattr("impasto.library.api.prepare", lambda *_a, **_k: 1 / 0)
    ran = impasto(photo, painting)
    assert ran.code == 1
    assert "this is a bug in impasto" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "the name of an image is empty"),
        (".", ". is a folder, not an image"),
        ("/", "/ is a folder, not an image"),
        ("nodir/photo.jpg", "nodir/photo.jpg: there is no such file"),
        ("https://example.org/a.jpg", "https://example.org/a.jpg is a web address; download"),
        ("~/photo.jpg", "in quotes, ~ does not stand for your home folder"),
    ],
)
def test_a_mistake_in_the_inputs_name_is_not_reported_as_one_in_the_outputs(
    name, sentence, impasto, painting
):
    assert sentence in impasto(name, painting, *QUICK).sentence()
    assert sentence in impasto("texture", name).sentence()


def test_photos_of_a_shells_star_are_no_styles(impasto, photo, painting, tmp_path):
    other = tmp_path / "another photo.png"
    shutil.copy(photo, other)
    sentence = impasto(photo, other, painting, *QUICK).sentence()
    assert sentence.startswith("3 images were given, and one photo is painted at a time.")
    assert f"""for photo in {photo} '{other}'; do impasto "$photo" {painting}; done""" in sentence
    assert f"impasto {photo} --style '{other}' --style {painting}" in sentence


@pytest.mark.parametrize("by_flag", [True, False])
def test_several_styles_are_blended_where_that_is_what_was_meant(
    by_flag, impasto, photo, painting, tmp_path
):
    styles = ["--style", painting, "--style", photo]
    if not by_flag:
        styles = [f"{painting}:0.7", photo]
    done = impasto(photo, *styles, *QUICK, "-o", tmp_path / "blend.png")
    assert done.code == 0
    assert f"content {photo}, style {painting}, {photo}" in done.err
