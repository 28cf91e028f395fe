"""Making the film from its work files and the source.

The pictures are copied from the work files; sound, subtitles, chapters and titles from the source.
"""

from __future__ import annotations

import heapq
import io
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from typing import Any

import av

from impasto.base import files
from impasto.base.errors import OutputError, reason
from impasto.video.containers import best_stream, open_container
from impasto.video.frames import Clip
from impasto.video.write.codecs import QUICKTIME
from impasto.video.write.streams import StreamCopier
from impasto.video.write.work_file import DecodingTimes, WorkFilePart

INDEX_FIRST = {"movflags": "+faststart"}
"""Options for an MP4 that browsers can play before all of it is loaded."""
TECHNICAL_KEYS = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration")
"""Metadata of the source that isn't true of the output."""
ALLOWS_EQUAL_TIMES = 0x20000
"""FFmpeg's flag AVFMT_TS_NONSTRICT: packets of a stream may have the same time."""


def assemble(
    parts: Sequence[WorkFilePart],
    output: Path,
    clip: Clip,
    start: float,
    end: float,
    last_duration: int,
) -> list[str]:
    """Make the film.

    Args:
        parts: The parts of the work files, with the pictures.
        output: The film to write.
        clip: The source.
        start: Where the output begins in the source, seconds.
        end: Where it ends, seconds.
        last_duration: The duration of the last picture, in the clip's time base.

    Returns:
        Sentences about damaged sound. ``stream_notes`` tells what ``output`` can't contain.

    Raises:
        OutputError: The film can't be written. No file is left then.
    """
    notes: list[str] = []

    def write(path: Path) -> None:
        notes.extend(_Assembly(parts, path, clip, start, end, last_duration).run())

    try:
        files.make_atomically(output, write)
    except av.error.FFmpegError as error:
        raise OutputError(f"{output} can't be written: {reason(error)}") from error
    return notes


def stream_notes(output: Path, clip: Clip) -> list[str]:
    """Return sentences about the streams of a film that ``output`` can't contain as they are."""
    if not clip.has_container or not clip.other_streams:
        return []
    suffix = output.suffix.lower()
    copier = StreamCopier(suffix, 0, math.inf)
    kind = {".mkv": "matroska", ".m4v": "mp4"}.get(suffix, suffix[1:])
    with (
        closing(open_container(clip.name)) as source,
        av.open(io.BytesIO(), "w", format=kind) as trial,
    ):
        copier.add_streams(trial, source, best_stream(source))
    return copier.compatibility_notes


class _Assembly:
    """The writing of one film; see ``assemble``."""

    def __init__(
        self,
        parts: Sequence[WorkFilePart],
        path: Path,
        clip: Clip,
        start: float,
        end: float,
        last_duration: int,
    ) -> None:
        self.parts, self.path, self.clip = parts, path, clip
        self.start, self.end, self.last_duration = start, end, last_duration
        self.suffix = path.suffix.lower()
        self.copier = StreamCopier(self.suffix, start, end)
        self.notes: list[str] = []

    def run(self) -> list[str]:
        """Write the film. Returns sentences about damaged sound."""
        with (
            closing(open_container(str(self.parts[0].path))) as work_file,
            av.open(str(self.path), "w", options=self._options()) as output,
        ):
            painted = work_file.streams.video[0]
            copy: Any = output.add_stream_from_template(painted, opaque=True)
            copy.time_base, copy.codec_context.framerate = self.clip.time_base, self.clip.rate
            if painted.codec_context.name == "hevc" and self.suffix in QUICKTIME:
                copy.codec_context.codec_tag = "hvc1"  # the only tag that Apple's players accept
            if not self.clip.has_container:
                self._mux(output, self._pictures(copy))
                return self.notes
            with closing(open_container(self.clip.name)) as source:
                pictures = best_stream(source)
                self._copy_metadata(output, source, pictures, copy)
                if "alpha_mode" in painted.metadata:  # browsers need it
                    copy.metadata["alpha_mode"] = painted.metadata["alpha_mode"]
                copies = self.copier.add_streams(output, source, pictures)
                others = self.copier.packets(source, copies)
                self._mux(output, heapq.merge(self._pictures(copy), others, key=itemgetter(0)))
        return [*self.copier.notes, *self.notes]

    def _options(self) -> dict[str, str]:
        return INDEX_FIRST if self.suffix in QUICKTIME else {}

    def _mux(self, output: Any, packets: Any) -> None:
        """Write packets; those whose time doesn't increase are left out, and counted in a note."""
        last: dict[int, Any] = {}
        min_ticks = 0 if output.format.flags & ALLOWS_EQUAL_TIMES else 1
        left_out = 0
        for _, packet in packets:
            time = packet.dts * packet.time_base
            stream = packet.stream.index
            if stream in last and time < last[stream] + min_ticks * packet.time_base:
                left_out += 1
                continue
            last[stream] = time
            output.mux(packet)
        if left_out:
            self.notes.append(
                f"{left_out} packets of sound or subtitles whose time goes back are left out"
            )

    def _pictures(self, stream: Any) -> Iterator[tuple[float, Any]]:
        """Yield the packets of the pictures, with their decoding times in seconds."""
        for packet in _part_packets(self.parts, self.clip, self.last_duration):
            packet.stream = stream
            yield float(packet.dts * packet.time_base), packet

    def _copy_metadata(self, output: Any, source: Any, pictures: Any, copy: Any) -> None:
        """Copy titles, languages and the like, and chapters."""
        for original, target in ((source, output), (pictures, copy)):
            for key, value in original.metadata.items():
                if key.lower() not in TECHNICAL_KEYS:
                    target.metadata[key] = value
        chapters = [_cut_chapter(chapter, self.start, self.end) for chapter in source.chapters()]
        if kept := [chapter for chapter in chapters if chapter is not None]:
            output.set_chapters(kept)


def _part_packets(parts: Sequence[WorkFilePart], clip: Clip, last_duration: int) -> Iterator[Any]:
    """Yield the packets of the parts one after the other, at the times of their frames.

    A file may count its times from any number, so they are shifted. The files are read twice, first
    for the times alone, so that a long film isn't held in memory.
    """
    times, shifts = DecodingTimes(clip), []
    for part in parts:
        ticks = [_ticks(packet, clip.time_base) for packet in part.packets()]
        shifts.append(part.first - min(ticks, default=0))
        times.pts += [pts + shifts[-1] for pts in ticks]
    times.pts.sort()
    for part, shift in zip(parts, shifts, strict=True):
        for packet in part.packets():
            packet.pts, packet.time_base = _ticks(packet, clip.time_base) + shift, clip.time_base
            following = bisect_right(times.pts, packet.pts)
            is_last = following == len(times.pts)
            packet.duration = last_duration if is_last else times.pts[following] - packet.pts
            times.set_decoding_time(packet)
            yield packet


def _cut_chapter(chapter: Any, start: float, end: float) -> Any:
    """Return a chapter of the film from start to end, or None if it lies outside."""
    base = Fraction(chapter["time_base"])
    first, last = (float(chapter[key] * base) for key in ("start", "end"))
    if last <= start or first >= end:
        return None
    times = {
        "start": round((max(first, start) - start) / base),
        "end": round((min(last, end) - start) / base),
    }
    return {**chapter, **times}


def _ticks(packet: Any, base: Fraction) -> int:
    """Return a packet's time in another time base."""
    ticks: int = round(packet.pts * packet.time_base / base)
    return ticks
