"""Weights: the catalogue, the file formats, and fetching over a network that fails in every way."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
import time
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from weight_files import (
    WIDTHS,
    digest_of,
    tiny_parameters,
    write_keras,
    write_palettes,
    write_torchvision,
)

from impasto.base.errors import WeightsError
from impasto.networks import download, formats, weights
from impasto.networks.classifier import class_names, top_classes
from impasto.networks.load import load_classifier, load_encoder


@pytest.fixture(autouse=True)
def _no_encoder_is_kept():
    load_encoder.cache_clear()
    yield
    load_encoder.cache_clear()


@pytest.fixture(scope="module")
def parameters() -> dict[str, torch.Tensor]:
    return tiny_parameters()


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("old_names", [True, False])
def test_keras_files(nested, old_names, parameters, tmp_path):
    path = tmp_path / "vgg19.h5"
    write_keras(path, parameters, nested=nested, old_names=old_names)
    assert formats.format_of(path) == "keras"
    assert_equal(formats.read(path, "keras"), parameters)


def test_torchvision_files(parameters, tmp_path):
    path = tmp_path / "vgg19.pth"
    write_torchvision(path, parameters)
    assert formats.format_of(path) == "torchvision"
    assert_equal(formats.read(path, "torchvision"), parameters)


def test_kernels_with_palettes(parameters, tmp_path):
    path = tmp_path / "vgg19.safetensors"
    write_palettes(path, parameters)
    read = formats.read(path, "safetensors")
    for name in formats.CONVOLUTION_NAMES:
        torch.testing.assert_close(
            read[f"{name}.weight"], parameters[f"{name}.weight"], atol=0.2, rtol=0
        )
        assert torch.equal(read[f"{name}.bias"], parameters[f"{name}.bias"])


def test_integers_are_scaled_per_output_channel(tmp_path):
    integers = torch.tensor([[-128, 127], [3, 0]], dtype=torch.int8)
    biases = torch.tensor([2**24 + 1, -5], dtype=torch.int32)  # the first is no float32
    scale = torch.tensor([0.1, 2.0])
    stored = {"w.integers": integers, "w.scale": scale, "b.integers": biases}
    stored["b.scale"] = scale.clone()
    save_file(stored, tmp_path / "file.safetensors")
    read = formats.read_safetensors(tmp_path / "file.safetensors")
    assert read.keys() == {"w", "b"}
    assert torch.equal(read["w"], integers.float() * torch.tensor([[0.1], [2.0]]))
    assert torch.equal(read["b"], biases.float() * scale)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (weights.DEFAULT, "9e4bf87340f04365c68f1ddf6a1c78ff4b236501394bc5118b644b1c3d9e070d"),
        (
            weights.MAGENTA_PREDICT,
            "5ff888141993c3aac6ab172d50c697621ee2ab826ead2528ea1ab3173057f19d",
        ),
        (
            weights.MAGENTA_TRANSFORM,
            "8e8b0190f130a53c967239a48a8af74c64b02873afd189e7c0c0fe747353c21b",
        ),
        (weights.MULTISTYLE, "3c268bbda29314172b79f232f8fb373dca39f98c54f2615cb3e4de84074b74fd"),
    ],
)
def test_the_bundled_parameters_are_those_of_their_sources(name, expected):
    """The hashes are of what the former readers of the source files gave, before conversion."""
    read = formats.read_safetensors(weights.verified_path(weights.find(name)))
    hashed = hashlib.sha256()
    for key in sorted(read):
        assert read[key].dtype == torch.float32
        hashed.update(f"{key} {tuple(read[key].shape)}".encode())
        hashed.update(read[key].numpy().tobytes())
    assert hashed.hexdigest() == expected


def test_bundled_files_name_their_source_and_licence():
    for entry in (entry for entry in weights.CATALOGUE.values() if entry.is_bundled):
        assert entry.path.stat().st_size == entry.size
        with safe_open(entry.path, "numpy") as file:
            metadata = file.metadata()
        assert metadata["name"] == entry.name
        assert re.fullmatch(r"[0-9a-f]{64}", metadata["source_sha256"])
        assert all(metadata[key] for key in ("source", "licence", "attribution"))
        assert entry.file in (weights.BUNDLED / "NOTICE").read_text(encoding="utf-8")


def assert_equal(read, expected) -> None:
    assert set(read) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(read[name], tensor), name


@pytest.mark.parametrize("format", ["safetensors", "keras", "torchvision"])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04 cut"])
def test_files_that_are_something_else_are_refused(format, content, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="isn't a readable|isn't VGG-19"):
        formats.read(path, format)


def test_pickled_code_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "pwned"), "w"))

    torch.save({"features.0.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError):
        formats.read(tmp_path / "evil.pth", "torchvision")
    assert not (tmp_path / "pwned").exists()


def test_keras_and_torchvision_files_classify_alike(parameters, tmp_path):
    """Same network, the other preprocessing: the top is put together the same way."""
    write_keras(tmp_path / "a.h5", parameters)
    write_torchvision(tmp_path / "b.pth", parameters)
    keras, torchvision = (load_classifier(tmp_path / name) for name in ("a.h5", "b.pth"))
    torchvision.encoder.preprocessing = "caffe"
    image = torch.rand(1, 3, 50, 60)
    torch.testing.assert_close(keras(image), torchvision(image))
    assert keras(image).shape == (1, 1000)
    assert keras(image).sum().item() == pytest.approx(1, abs=1e-5)


def test_the_top_is_computed_as_keras_does(parameters, tmp_path):
    """Written out with numpy: flatten row, column, channel; two ReLU layers; softmax."""
    write_keras(tmp_path / "a.h5", parameters)
    classifier = load_classifier(tmp_path / "a.h5")
    image = torch.rand(1, 3, 224, 224)
    pooled = classifier.encoder(image, ["block5_pool"])["block5_pool"][0].numpy()
    x = pooled.transpose(1, 2, 0).reshape(-1)
    with h5py.File(tmp_path / "a.h5") as file:
        for name in formats.TOP_NAMES:
            group = file[name][name]
            x = x @ group[f"{name}_W_1:0"][()] + group[f"{name}_b_1:0"][()]
            x = x if name == "predictions" else np.maximum(x, 0)
    expected = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
    np.testing.assert_allclose(classifier(image)[0].numpy(), expected, rtol=1e-3, atol=1e-6)


def test_the_most_probable_classes_come_first_with_their_names(parameters, tmp_path):
    decided = {name: tensor.clone() for name, tensor in parameters.items()}
    decided["predictions.weight"].zero_()
    decided["predictions.bias"].zero_()
    decided["predictions.bias"][282] = 5
    decided["predictions.bias"][207] = 4
    write_keras(tmp_path / "a.h5", decided)
    classes = top_classes(load_classifier(tmp_path / "a.h5"), torch.rand(1, 3, 40, 40), 3)
    assert [name for name, _ in classes[:2]] == ["tiger cat", "golden retriever"]
    assert classes[0][1] > classes[1][1] > classes[2][1]


def test_there_are_a_thousand_classes():
    assert len(class_names()) == len(set(class_names())) == 1000
    assert class_names()[0] == "tench"


def test_a_file_without_the_top_cannot_classify(parameters, tmp_path):
    without = {name: t for name, t in parameters.items() if name.startswith("block")}
    write_keras(tmp_path / "a.h5", without)
    with pytest.raises(WeightsError, match="without its top"):
        load_classifier(tmp_path / "a.h5")


def test_the_default_weights_are_the_right_ones():
    assert weights.state(weights.find(weights.DEFAULT)) == "ok"
    assert load_encoder().convolutions["block1_conv1"].weight.shape == (64, 3, 3, 3)


def test_loading_leaves_the_random_number_generator_alone():
    before = torch.get_rng_state()
    load_encoder()
    assert torch.equal(torch.get_rng_state(), before)


def test_only_encoders_can_be_selected():
    for name in (weights.MAGENTA_PREDICT, weights.MAGENTA_TRANSFORM, weights.MULTISTYLE):
        with pytest.raises(WeightsError, match="isn't an encoder"):
            load_encoder(name)


def test_other_encoders_can_be_chosen(parameters, tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    for name, write in (
        ("vgg19-keras", write_keras),
        ("vgg19-torchvision", write_torchvision),
    ):
        entry = weights.CATALOGUE[name]
        write(entry.path, parameters)
        monkeypatch.setitem(weights.CATALOGUE, name, replace(entry, digest=digest_of(entry.path)))
        encoder = load_encoder(name)
        weight, _ = encoder.convolutions["block5_conv1"].parameters()
        assert weight.shape[0] == WIDTHS[5]
        assert encoder.preprocessing == ("caffe" if name == "vgg19-keras" else "torchvision")


def test_damaged_and_missing_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_HOME", str(tmp_path))
    entry = weights.find("vgg19-keras")
    with pytest.raises(WeightsError, match="missing; fetch them with: impasto models pull"):
        load_encoder("vgg19-keras")
    entry.path.parent.mkdir()
    entry.path.write_bytes(b"damaged")
    assert weights.state(entry) == "damaged"
    with pytest.raises(WeightsError, match="is damaged"):
        load_encoder("vgg19-keras")
    with pytest.raises(WeightsError, match="did you mean 'vgg19-keras'"):
        load_encoder("vgg19-kears")


def test_damaged_and_missing_bundled_files(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "BUNDLED", tmp_path)
    entry = weights.find(weights.DEFAULT)
    assert weights.state(entry) == "missing"
    with pytest.raises(WeightsError, match="are missing; reinstall impasto"):
        load_encoder()
    entry.path.write_bytes(b"damaged")
    assert weights.state(entry) == "damaged"
    with pytest.raises(WeightsError, match="is damaged: .*; reinstall impasto"):
        load_encoder()


# --- Fetching -------------------------------------------------------------------------------------

CONTENT = bytes(range(256)) * 4000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT, more or less well: the path says how."""

    protocol_version = "HTTP/1.1"
    requests: list[str | None] = []  # noqa: RUF012

    def do_GET(self):
        wanted = self.headers.get("Range")
        Server.requests.append(wanted)
        if self.path == "/missing":
            return self.send_error(404)
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "/good")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if self.path == "/no-ranges":
            start = 0
        if start >= len(CONTENT):
            return self.send_error(416)
        body = CONTENT[start:]
        if self.path == "/corrupt":
            body = b"x" + body[1:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = self.path in ("/truncated", "/stalled")
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.wfile.flush()
        if self.path == "/stalled":
            time.sleep(3)
        self.close_connection = True
        return None

    def log_message(self, *_args):
        pass


@pytest.fixture(scope="module")
def server():
    instance = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=instance.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{instance.server_port}"
    instance.shutdown()


@pytest.fixture
def target(tmp_path):
    Server.requests.clear()
    return tmp_path / "models" / "file.h5"


def fetch(url, target, digest=DIGEST) -> list[int]:
    return list(download.fetch(url, target, digest, stall_seconds=0.5))


@pytest.mark.parametrize("path", ["/good", "/elsewhere", "/no-ranges"])
def test_a_file_is_fetched_and_checked(path, server, target):
    received = fetch(server + path, target)
    assert target.read_bytes() == CONTENT
    assert received[-1] == len(CONTENT)
    assert received == sorted(received)
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("fault", ["/truncated", "/stalled"])
def test_a_broken_download_goes_on_where_it_stopped(fault, server, target):
    with pytest.raises(WeightsError, match="it will go on from here"):
        fetch(server + fault, target)
    assert not target.exists()
    assert 0 < weights.partial_path(target).stat().st_size < len(CONTENT)
    fetch(server + "/good", target)
    assert target.read_bytes() == CONTENT
    assert Server.requests[-1].startswith("bytes="), "it should ask for the rest only"


def test_a_server_without_ranges_starts_anew(server, target):
    target.parent.mkdir()
    weights.partial_path(target).write_bytes(b"the beginning of something else")
    fetch(server + "/no-ranges", target)
    assert target.read_bytes() == CONTENT


def test_a_download_that_was_complete_is_only_checked(server, target):
    target.parent.mkdir()
    weights.partial_path(target).write_bytes(CONTENT)
    fetch(server + "/good", target)
    assert target.read_bytes() == CONTENT


def test_a_corrupted_file_never_arrives(server, target):
    with pytest.raises(WeightsError, match="isn't the right file"):
        fetch(server + "/corrupt", target)
    assert list(target.parent.iterdir()) == []


def test_an_existing_file_stays_when_its_replacement_fails(server, target):
    target.parent.mkdir()
    target.write_bytes(b"old")
    with pytest.raises(WeightsError):
        fetch(server + "/corrupt", target)
    assert target.read_bytes() == b"old"


def test_what_is_not_there_is_said(server, target):
    with pytest.raises(WeightsError, match="answered 404"):
        fetch(server + "/missing", target)
    with pytest.raises(WeightsError, match="can't be reached"):
        fetch("http://127.0.0.1:9/file", target)


def test_md5_is_understood(server, target):
    fetch(server + "/good", target, f"md5:{hashlib.md5(CONTENT).hexdigest()}")
    assert target.exists()


def test_a_full_disk_is_said(server, target, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.open", full)
    with pytest.raises(WeightsError, match="no space left on device"):
        fetch(server + "/good", target)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("features.0.weight", torch.zeros(3)),
        ("features.0.bias", torch.zeros(9)),
        ("features.0.weight", "text"),
        ("classifier.0.weight", torch.zeros(7, 3)),
        ("features.x.weight", torch.zeros(1)),
        ("classifier.6.weight", torch.zeros(10, 7)),
        (3, torch.zeros(1)),
    ],
)
def test_altered_weights_are_refused_in_one_sentence(name, value, parameters, tmp_path):
    path = tmp_path / "vgg19.pth"
    write_torchvision(path, parameters)
    torch.save({**torch.load(path), name: value}, path)
    with pytest.raises(WeightsError, match="VGG-19"):
        load_classifier(path)
