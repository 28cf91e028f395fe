"""Sentences about what a stylized film lacks of its source."""

from __future__ import annotations

from pathlib import Path

from impasto.video.frames import Clip
from impasto.video.write.assembling import stream_notes
from impasto.video.write.codecs import Codec

MISSING_S = 0.5
"""If the pictures end so much before the film, some are missing."""


def conversion_notes(
    clip: Clip, output: Path, codec: Codec | None, *, is_interlaced: bool
) -> list[str]:
    """Return what is known before the start: what the output can't contain.

    Args:
        clip: The source.
        output: The film, or the folder or pattern of images.
        codec: The film's codec; None for images.
        is_interlaced: Whether the source is interlaced.
    """
    notes = []
    if clip.is_hdr:
        notes.append("the film is HDR; it is painted, and written, in standard range")
    if is_interlaced:
        notes.append("the film is interlaced; it is painted, and written, deinterlaced")
    if codec is None:
        return notes
    if output.suffix.lower() != ".gif":
        notes += stream_notes(output, clip)
    if clip.has_alpha and codec.pixels != codec.alpha_pixels:
        notes.append(f"{output.suffix} films of this codec have no transparency: it becomes black")
    width, height = codec.fitted(clip.width, clip.height)
    if (width, height) != (clip.width, clip.height):
        notes.append(
            f"this codec needs even sides: {clip.width}×{clip.height} px become {width}×{height}"
        )
    return notes


def skipped_note(count: int) -> str:
    """Return a sentence about frames that were left out."""
    frames = "frame was" if count == 1 else "frames were"
    return f"{count} {frames} left out: damaged, or of a time that goes back"


def truncation_note(clip: Clip, end: float) -> str:
    """Return a sentence about a source whose pictures end too early.

    Args:
        clip: The source.
        end: Where the pictures end, seconds.
    """
    return f"{clip.name} is damaged or cut short: its pictures end after {end:.1f} s"
