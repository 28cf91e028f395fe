"""Work files, and all that the source has besides pictures → the film that was asked for.

The pictures are copied from the work files; sound, subtitles, chapters, titles from the source.
"""

from __future__ import annotations

import heapq
import io
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from typing import Any

import av

from impasto.base import files
from impasto.base.errors import OutputError, reason
from impasto.video.codecs import QUICKTIME
from impasto.video.containers import best_stream, is_cover, open_container
from impasto.video.frames import Clip
from impasto.video.writing import Part, Times

SIMPLE = {"movflags": "+faststart"}
"""The index first, where browsers want it."""
SOUND = {".webm": "libopus", ".mp4": "aac", ".m4v": "aac", ".mov": "aac", ".mkv": "libopus"}
"""What sound becomes that a kind of file can't hold."""
SOUND_HZ = 48_000
SUBTITLE_S = 10.0
"""Subtitles that are shown where a film begins may have begun so much before."""
MP4 = (".mp4", ".m4v")
COVERS = MP4
"""What holds a cover as a stream, as files with one mostly do."""
SAME_TIMES = 0x20000
"""FFmpeg's AVFMT_TS_NONSTRICT: a stream's packets may have the same time."""


def assemble(
    parts: Sequence[Part], output: Path, clip: Clip, start: float, end: float, last_duration: int
) -> list[str]:
    """The pictures of ``parts``, and all that the film ``clip.name`` has besides, from ``start`` to
    ``end``, seconds, become ``output``. ``last_duration`` is that of the last picture, in the
    clip's time base. Returns sentences about what went wrong with the sound; what ``output`` can't
    hold, ``stream_notes`` says. Raises OutputError; nothing is left then.
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
    """Return sentences about the streams of a film that ``output`` can't hold as they are."""
    if not clip.has_container or not clip.others:
        return []
    trial = _Assembly((), output, clip, 0, math.inf, 0)
    kind = {".mkv": "matroska", ".m4v": "mp4"}.get(trial.suffix, trial.suffix[1:])
    with (
        closing(open_container(clip.name)) as source,
        av.open(io.BytesIO(), "w", format=kind) as nothing,
    ):
        trial.copies(nothing, source, best_stream(source))
    return trial.lost


class _Assembly:
    def __init__(
        self,
        parts: Sequence[Part],
        path: Path,
        clip: Clip,
        start: float,
        end: float,
        last_duration: int,
    ) -> None:
        self.parts, self.path, self.clip = parts, path, clip
        self.start, self.end, self.last_duration = start, end, last_duration
        self.lost: list[str] = []
        self.notes: list[str] = []
        self.encoders: dict[int, tuple[Any, Any]] = {}
        self.suffix = path.suffix.lower()

    def run(self) -> list[str]:
        with (
            closing(open_container(str(self.parts[0].path))) as pictures,
            av.open(str(self.path), "w", options=self._options()) as output,
        ):
            drawn = pictures.streams.video[0]
            made: Any = output.add_stream_from_template(drawn, opaque=True)
            made.time_base, made.codec_context.framerate = self.clip.time_base, self.clip.rate
            if drawn.codec_context.name == "hevc" and self.suffix in QUICKTIME:
                made.codec_context.codec_tag = "hvc1"  # Apple's players know it by no other name
            if not self.clip.has_container:
                self._mux(output, self._pictures(made))
                return self.notes
            with closing(open_container(self.clip.name)) as source:
                own = best_stream(source)
                self._describe(output, source, own, made)
                if "alpha_mode" in drawn.metadata:  # browsers go by it
                    made.metadata["alpha_mode"] = drawn.metadata["alpha_mode"]
                copies = self.copies(output, source, own)
                rest = self._rest(source, copies)
                self._mux(output, heapq.merge(self._pictures(made), rest, key=itemgetter(0)))
        return self.notes

    def _options(self) -> dict[str, str]:
        return SIMPLE if self.suffix in QUICKTIME else {}

    def _mux(self, output: Any, packets: Any) -> None:
        last: dict[int, Any] = {}
        least = 0 if output.format.flags & SAME_TIMES else 1
        backwards = 0
        for _, packet in packets:
            time = packet.dts * packet.time_base
            stream = packet.stream.index
            if stream in last and time < last[stream] + least * packet.time_base:
                backwards += 1
                continue
            last[stream] = time
            output.mux(packet)
        if backwards:
            self.notes.append(
                f"{backwards} packets of sound or subtitles whose time goes back are left out"
            )

    def _pictures(self, stream: Any) -> Iterator[tuple[float, Any]]:
        for packet in _part_packets(self.parts, self.clip, self.last_duration):
            packet.stream = stream
            yield float(packet.dts * packet.time_base), packet

    def _describe(self, output: Any, source: Any, own: Any, made: Any) -> None:
        """Title, language and the like, and chapters."""
        technical = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration")
        for owner, copy in ((source, output), (own, made)):
            for key, value in owner.metadata.items():
                if key.lower() not in technical:
                    copy.metadata[key] = value
        chapters = [_moved(chapter, self.start, self.end) for chapter in source.chapters()]
        if kept := [chapter for chapter in chapters if chapter is not None]:
            output.set_chapters(kept)

    def copies(self, output: Any, source: Any, own: Any) -> dict[int, Any]:
        """The streams of the output that streams of the source are copied to."""
        copies = {}
        for stream in source.streams:
            if stream.index == own.index:
                continue
            copy = self._copy_of(output, stream)
            if copy is None:
                self.lost.append(
                    f"the {_name(stream)} can't be in a {self.suffix} file, and is left out"
                )
                continue
            for key, value in stream.metadata.items():
                copy.metadata[key] = value
            with suppress(AttributeError, ValueError):
                copy.disposition = stream.disposition
            if stream.type != "attachment":
                copies[stream.index] = copy
        return copies

    def _copy_of(self, output: Any, stream: Any) -> Any:
        if stream.type == "data" or (stream.type == "attachment" and self.suffix != ".mkv"):
            return None
        if stream.type == "video" and not (is_cover(stream) and self.suffix in COVERS):
            return None
        context = stream.codec_context
        if stream.type == "audio" and (context is None or not context.sample_rate):
            return None  # nobody could tell what it is
        try:
            if context is None or self._holds(output, context.codec.canonical_name):
                return output.add_stream_from_template(stream)
            if stream.type == "audio":
                return self._sound_encoder(output, stream)
        except (ValueError, TypeError, av.error.FFmpegError):
            pass
        return None

    def _holds(self, output: Any, codec: str) -> bool:
        """Return whether players know the codec in a file of this kind.

        FFmpeg copies uncompressed sound to MP4 under the name of another kind, which is then heard
        as noise.
        """
        if codec.startswith("pcm_") and self.suffix in MP4:
            return False
        return codec in output.supported_codecs

    def _sound_encoder(self, output: Any, stream: Any) -> Any:
        """A stream for sound that the output can't hold as it is."""
        layout = "mono" if stream.codec_context.layout.nb_channels == 1 else "stereo"
        copy = output.add_stream(SOUND[self.suffix], rate=SOUND_HZ, layout=layout)
        self.encoders[stream.index] = copy, _resampler(copy)
        self.lost.append(f"the {_name(stream)} is encoded anew for a {self.suffix} file")
        return copy

    def _rest(self, source: Any, copies: dict[int, Any]) -> Iterator[tuple[float, Any]]:
        """The source's other packets, from start to end."""
        if not copies:
            return
        origin = (source.start_time or 0) / av.time_base
        streams = [source.streams[index] for index in copies]
        if self.start:
            with suppress(av.error.FFmpegError, OSError):  # else all of it is gone through
                source.seek(round((origin + max(0.0, self.start - SUBTITLE_S)) * av.time_base))
        damaged = 0
        with suppress(av.error.FFmpegError):  # where it is broken off, the pictures were too
            for packet in source.demux(streams):
                if is_cover(packet.stream) and packet.size:
                    packet.pts = packet.dts = 0
                    packet.stream = copies[packet.stream_index]
                    yield 0.0, packet
                    continue
                if packet.pts is None or packet.dts is None:
                    continue
                # What an edit list hides would be heard in a file that has none.
                is_copied = packet.stream_index not in self.encoders
                if packet.is_discard and is_copied and self.suffix not in QUICKTIME:
                    continue
                base = packet.time_base
                time = float(packet.pts * base) - origin
                if time >= self.end:
                    continue
                if self.start and time < self.start:
                    late = round((self.start - time) / base)
                    if packet.stream.type != "subtitle" or (packet.duration or 0) <= late:
                        continue
                    packet.duration -= late
                    packet.pts = packet.dts = packet.pts + late
                if packet.stream_index in self.encoders:
                    try:
                        yield from self._encoded(packet, origin)
                    except av.error.FFmpegError:
                        damaged += 1
                    continue
                shift = round((origin + self.start) / base)
                packet.pts -= shift
                packet.dts -= shift
                packet.stream = copies[packet.stream_index]
                yield float(packet.dts * base), packet
        if damaged:
            self.notes.append(f"{damaged} damaged pieces of the sound were left out")
        for stream, resampler in self.encoders.values():
            for frame in resampler.resample(None):
                yield from _timed(stream.encode(frame))
            yield from _timed(stream.encode(None))

    def _encoded(self, packet: Any, origin: float) -> Iterator[tuple[float, Any]]:
        stream, resampler = self.encoders[packet.stream_index]
        for heard in packet.decode():
            if heard.pts is not None:
                heard.pts -= round((origin + self.start) / heard.time_base)
            try:
                frames = resampler.resample(heard)
            except ValueError:  # from here on it is of another kind: stereo was mono, say
                resampler = _resampler(stream)
                self.encoders[packet.stream_index] = stream, resampler
                frames = resampler.resample(heard)
            for frame in frames:
                yield from _timed(stream.encode(frame))


def _resampler(stream: Any) -> av.AudioResampler:
    """To what a stream's encoder takes."""
    return av.AudioResampler(stream.format, stream.layout, SOUND_HZ)


def _part_packets(parts: Sequence[Part], clip: Clip, last_duration: int) -> Iterator[Any]:
    """The packets of the parts, one after the other, at the times they were made for: files count
    from where they like. They are read twice, first for their times alone, so that a long film
    isn't held in memory.
    """
    times, shifts = Times(clip), []
    for part in parts:
        ticks = [_ticks(packet, clip.time_base) for packet in part.packets()]
        shifts.append(part.first - min(ticks, default=0))
        times.pts += [pts + shifts[-1] for pts in ticks]
    times.pts.sort()
    for part, shift in zip(parts, shifts, strict=True):
        for packet in part.packets():
            packet.pts, packet.time_base = _ticks(packet, clip.time_base) + shift, clip.time_base
            after = bisect_right(times.pts, packet.pts)
            is_last = after == len(times.pts)
            packet.duration = last_duration if is_last else times.pts[after] - packet.pts
            times.time(packet)
            yield packet


def _moved(chapter: Any, start: float, end: float) -> Any:
    """A chapter in the part from start to end; None if it isn't there."""
    base = Fraction(chapter["time_base"])
    first, last = (float(chapter[key] * base) for key in ("start", "end"))
    if last <= start or first >= end:
        return None
    times = {
        "start": round((max(first, start) - start) / base),
        "end": round((min(last, end) - start) / base),
    }
    return {**chapter, **times}


def _name(stream: Any) -> str:
    kinds = {"audio": "sound", "subtitle": "subtitles", "video": "second film or cover"}
    name = kinds.get(stream.type, f"{stream.type} stream")
    codec = stream.codec_context.name if stream.codec_context is not None else None
    return f"{name} ({codec})" if codec else name


def _ticks(packet: Any, base: Fraction) -> int:
    ticks: int = round(packet.pts * packet.time_base / base)
    return ticks


def _timed(packets: list[Any]) -> Iterator[tuple[float, Any]]:
    for packet in packets:
        yield float(packet.dts * packet.time_base), packet
