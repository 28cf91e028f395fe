"""High dynamic range → what a screen without it shows."""

from __future__ import annotations

from functools import cache

import numpy as np

PQ, HLG = 16, 18
"""Transfer functions of SMPTE ST 2084 and ARIB STD-B67, in ITU-T H.273's table."""
TRANSFERS = (PQ, HLG)
BT2020 = 9

WHITE_NITS = 203.0
"""Diffuse white, ITU-R BT.2408."""
PEAK = 1000.0 / WHITE_NITS
"""What is so much brighter than white becomes white."""
TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
"""From the primaries of BT.2020, linear light; ITU-R BT.2087."""
KNEE = 0.5
"""Up to here light stays as it is."""
STEPS = 4096


def to_sdr(pixels: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """Convert an HDR picture to sRGB.

    The largest channel is compressed from ``KNEE`` on, by the curve of Reinhard et al. 2002,
    equation 4, and the others with it, so that hues stay.

    Args:
        pixels: (H, W, 3) uint16.
        transfer: ``PQ`` or ``HLG``.
        primaries: A code point of ITU-T H.273; all but ``BT2020`` are taken for those of sRGB.

    Returns:
        (H, W, 3) uint8.
    """
    light = _light_table(transfer)[pixels]
    if primaries == BT2020:
        light = np.maximum(light @ TO_BT709.T, 0)
    brightest = np.maximum(light.max(axis=2, keepdims=True), 1e-6)
    above, most = np.maximum(brightest - KNEE, 0) / (1 - KNEE), (PEAK - KNEE) / (1 - KNEE)
    compressed = np.minimum(brightest, KNEE)
    compressed += (1 - KNEE) * above * (1 + above / most**2) / (1 + above)
    shown = np.clip(light * (compressed / brightest), 0, 1)
    encoded: np.ndarray = _srgb_table()[(shown * (STEPS - 1) + 0.5).astype(np.uint16)]
    return encoded


@cache
def _light_table(transfer: int) -> np.ndarray:
    """A code value of 16 bits → linear light, diffuse white is 1."""
    signal = np.arange(65536) / 65535
    if transfer == PQ:  # ST 2084, equation 4.1
        power = signal ** (1 / 78.84375)
        ratio = np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
        light = 10000 / WHITE_NITS * ratio ** (1 / 0.1593017578125)
    else:  # B67, and BT.2100's system gamma for 1000 cd/m² on each channel
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
        light = PEAK * scene**1.2
    table: np.ndarray = light.astype(np.float32)
    return table


@cache
def _srgb_table() -> np.ndarray:
    light = np.linspace(0, 1, STEPS)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    table: np.ndarray = (encoded * 255 + 0.5).astype(np.uint8)
    return table
