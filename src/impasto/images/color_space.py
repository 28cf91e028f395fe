"""Color spaces of files, and the conversion of their samples to sRGB in floating point.

Pillow's conversion by an ICC profile has 8 bits and knows no other description of color. This one
is for files of more than 8 bits, and for those that describe their colors by the code points of
ITU-T H.273 (AVIF, HEIF, PNG) or by a gamma (PNG).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
from PIL import ImageCms

from impasto.images.hdr import TRANSFERS, to_sdr

Curve = Callable[[np.ndarray], np.ndarray]
"""A function from encoded values in [0, 1] to linear light."""
Chromaticities = Sequence[tuple[float, float]]
"""CIE x and y of white, red, green and blue."""

D65 = (0.3127, 0.3290)
SRGB_CHROMATICITIES: Chromaticities = (D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
CHROMATICITIES: dict[int, Chromaticities] = {
    9: (D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    12: (D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}
"""Chromaticities by the code points of primaries. All other code points are displayed as sRGB."""
GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
"""Exponents by the code points of transfer functions; all others are displayed as sRGB."""
GAMMA_TOLERANCE = 0.05
"""libpng's PNG_GAMMA_THRESHOLD: a gamma as close to 1/2.2 as that is sRGB's."""
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
"""Matrix from XYZ to the cone responses in which white points are adapted."""
FIXED_POINT = 65536.0
"""ICC's s15Fixed16Number counts in 1/65536."""


@dataclass(frozen=True, eq=False)
class ColorSpace:
    """A grey or RGB color space.

    Attributes:
        curves: One for grey, three for RGB.
        matrix: (3, 3), from linear light to linear sRGB; None for grey.
    """

    curves: tuple[Curve, ...]
    matrix: np.ndarray | None = None
    is_hdr: ClassVar[bool] = False

    @property
    def channels(self) -> int:
        """Return 1 for grey, 3 for RGB."""
        return len(self.curves)

    def to_srgb(self, samples: np.ndarray) -> np.ndarray:
        """Convert (H, W, 1 or 3) float32 in [0, 1] to sRGB."""
        light = np.stack(
            [curve(samples[..., i]) for i, curve in enumerate(self.curves)], axis=-1
        )  # (H, W, 1 or 3)
        if self.matrix is not None:
            light = light @ self.matrix.T
        return _srgb_encoded(np.clip(light, 0, 1)).astype(np.float32)


@dataclass(frozen=True)
class HighDynamicRange:
    """PQ or HLG, by the code points of the transfer function and the primaries."""

    transfer: int
    primaries: int
    is_hdr: ClassVar[bool] = True
    channels: ClassVar[int] = 3

    def to_srgb(self, samples: np.ndarray) -> np.ndarray:
        """Convert (H, W, 3) float32 in [0, 1] to sRGB, its brightness compressed."""
        levels = np.rint(samples * 65535).astype(np.uint16)
        return to_sdr(levels, self.transfer, self.primaries).astype(np.float32) / 255


TaggedColor = ColorSpace | HighDynamicRange


def from_code_points(primaries: int, transfer: int) -> TaggedColor | None:
    """Return the color space with these code points of ITU-T H.273; None for sRGB."""
    if transfer in TRANSFERS:
        return HighDynamicRange(transfer, primaries)
    gamma = GAMMAS.get(transfer)
    if gamma is None and primaries not in CHROMATICITIES:
        return None
    curve = _srgb_decoded if gamma is None else _power(gamma)
    return ColorSpace((curve,) * 3, _to_linear_srgb(CHROMATICITIES.get(primaries)))


def from_gamma(gamma: float, chromaticities: Chromaticities) -> ColorSpace | None:
    """Return the color space of a PNG file's gAMA and cHRM; None for sRGB or nonsense.

    Args:
        gamma: The exponent from linear light to encoded values, as PNG has it: 1/2.2 for most.
        chromaticities: Of white and the primaries.
    """
    is_srgb = np.allclose(chromaticities, SRGB_CHROMATICITIES, atol=0.005)
    if gamma <= 0 or (is_srgb and abs(gamma * 2.2 - 1) < GAMMA_TOLERANCE):
        return None
    try:
        matrix = None if is_srgb else _to_linear_srgb(chromaticities)
    except (np.linalg.LinAlgError, ZeroDivisionError):
        return None
    return ColorSpace((_power(1 / gamma),) * 3, matrix)


def from_icc(profile: bytes) -> ColorSpace | None:
    """Return the color space of an ICC profile with curves and a matrix, or a grey one.

    Returns None for the others, which have tables (LUTs), and for damaged ones: Pillow converts by
    these, in 8 bits.
    """
    try:
        tags = _icc_tags(profile)
        if b"A2B0" in tags:
            return None
        if profile[16:20] == b"GRAY":
            return ColorSpace((_icc_curve(tags[b"kTRC"]),))
        curves = tuple(_icc_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
        return ColorSpace(curves, np.linalg.inv(_srgb_colorants()) @ _colorants(tags))
    except (KeyError, ValueError, IndexError, struct.error, np.linalg.LinAlgError):
        return None


def _icc_tags(profile: bytes) -> dict[bytes, bytes]:
    """Return the data of each tag. ICC.1:2022, section 7.3."""
    (count,) = struct.unpack(">I", profile[128:132])
    tags = {}
    for index in range(min(count, 100)):
        entry = profile[132 + 12 * index : 144 + 12 * index]
        name, start, size = struct.unpack(">4sII", entry)
        tags[name] = profile[start : start + size]
    return tags


def _colorants(tags: dict[bytes, bytes]) -> np.ndarray:
    """Return the matrix from linear RGB to XYZ, relative to D50."""
    columns = [struct.unpack(">3i", tags[name][8:20]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    return np.array(columns, dtype=np.float64).T / FIXED_POINT


@cache
def _srgb_colorants() -> np.ndarray:
    return _colorants(_icc_tags(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()))


def _icc_curve(data: bytes) -> Curve:
    """Return the curve of a tag of type curv (section 10.6) or para (section 10.18)."""
    if data[:4] == b"para":
        return _parametric(data)
    if data[:4] != b"curv":
        raise ValueError("an ICC curve is of the type curv or para")
    (count,) = struct.unpack(">I", data[8:12])
    if count == 0:
        return _power(1.0)
    values = np.frombuffer(data, ">u2", count, offset=12)
    if count == 1:
        return _power(float(values[0]) / 256)  # u8Fixed8Number
    light = values / 65535
    return lambda samples: np.interp(samples, np.linspace(0, 1, count), light)


PARAMETERS = {0: "g", 1: "gab", 2: "gabc", 3: "gabcd", 4: "gabcdef"}
"""The parameters of each type of parametric curve, by the names of the specification."""


def _parametric(data: bytes) -> Curve:
    (kind,) = struct.unpack(">H", data[8:10])
    names = PARAMETERS[kind]
    numbers = struct.unpack(f">{len(names)}i", data[12 : 12 + 4 * len(names)])
    p = dict.fromkeys("abcdef", 0.0) | {"a": 1.0}
    p |= {name: number / FIXED_POINT for name, number in zip(names, numbers, strict=True)}
    if kind in (1, 2):  # Y = (aX + b)^g + c from X = -b/a on, c below
        threshold, offset, slope, below = -p["b"] / p["a"], p["c"], 0.0, p["c"]
    else:  # Y = (aX + b)^g + e from X = d on, cX + f below
        threshold, offset, slope, below = p["d"], p["e"], p["c"], p["f"]

    def curve(samples: np.ndarray) -> np.ndarray:
        power = np.maximum(p["a"] * samples + p["b"], 0) ** p["g"] + offset
        return np.where(samples >= threshold, power, slope * samples + below)

    return curve


def _to_linear_srgb(chromaticities: Chromaticities | None) -> np.ndarray | None:
    """Return the matrix from linear light of these primaries; None for those of sRGB."""
    if chromaticities is None:
        return None
    adapted = _to_xyz(chromaticities)
    cones, srgb_cones = (BRADFORD @ _xyz(*white) for white in (chromaticities[0], D65))
    adapted = np.linalg.inv(BRADFORD) @ np.diag(srgb_cones / cones) @ BRADFORD @ adapted
    matrix: np.ndarray = np.linalg.inv(_to_xyz(SRGB_CHROMATICITIES)) @ adapted
    return matrix


def _to_xyz(chromaticities: Chromaticities) -> np.ndarray:
    """Return the matrix from linear RGB to XYZ, in which (1, 1, 1) is white."""
    white, *primaries = chromaticities
    columns = np.stack([_xyz(*primary) for primary in primaries], axis=1)  # (3, 3)
    weights: np.ndarray = columns * np.linalg.solve(columns, _xyz(*white))
    return weights


def _xyz(x: float, y: float) -> np.ndarray:
    """Return XYZ of a chromaticity, at luminance 1."""
    return np.array([x / y, 1, (1 - x - y) / y])


def _power(exponent: float) -> Curve:
    return lambda samples: samples**exponent


def _srgb_decoded(samples: np.ndarray) -> np.ndarray:
    return np.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)


def _srgb_encoded(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
