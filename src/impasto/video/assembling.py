"""Work files, and all that the source has besides pictures → the film that was asked for.

The pictures are copied from the work files; sound, subtitles, chapters, titles from the source.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av

from impasto import files
from impasto.video.frames import Clip
from impasto.video.reading import open_container
from impasto.video.writing import Part, Times

SIMPLE = {"movflags": "+faststart"}
"""The index first, where browsers want it."""
SOUND = {".webm": "libopus", ".mp4": "aac", ".m4v": "aac", ".mov": "aac", ".mkv": "libopus"}
"""What sound becomes that a kind of file can't hold."""
SOUND_HZ = 48_000


def assemble(
    parts: Sequence[Part], output: Path, clip: Clip, start: float, end: float
) -> list[str]:
    """The pictures of ``parts``, and all that the film ``clip.name`` has besides, from ``start`` to
    ``end``, seconds, become ``output``. Returns sentences about what ``output`` can't hold. Raises
    OutputError; nothing is left then.
    """
    notes: list[str] = []

    def write(path: Path) -> None:
        notes.extend(_Assembly(parts, path, clip, start, end).run())

    files.make_atomically(output, write)
    return notes


class _Assembly:
    def __init__(
        self, parts: Sequence[Part], path: Path, clip: Clip, start: float, end: float
    ) -> None:
        self.parts, self.path, self.clip = parts, path, clip
        self.start, self.end = start, end
        self.notes: list[str] = []
        self.encoders: dict[int, tuple[Any, Any]] = {}

    def run(self) -> list[str]:
        with (
            closing(open_container(str(self.parts[0].path))) as pictures,
            av.open(str(self.path), "w", options=self._options()) as output,
        ):
            made: Any = output.add_stream_from_template(pictures.streams.video[0])
            made.time_base = self.clip.time_base
            if not self.clip.others and not Path(self.clip.name).is_file():
                self._mux(output, self._pictures(made))
                return self.notes
            with closing(open_container(self.clip.name)) as source:
                own = source.streams.video[0]
                self._describe(output, source, own, made)
                copies = self._copies(output, source, own)
                rest = self._rest(source, copies)
                self._mux(output, heapq.merge(self._pictures(made), rest, key=_when))
        return self.notes

    def _options(self) -> dict[str, str]:
        return SIMPLE if self.path.suffix in (".mp4", ".m4v", ".mov") else {}

    def _mux(self, output: Any, packets: Any) -> None:
        for _, packet in packets:
            output.mux(packet)

    def _pictures(self, stream: Any) -> Iterator[tuple[float, Any]]:
        for packet in _part_packets(self.parts, self.clip):
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

    def _copies(self, output: Any, source: Any, own: Any) -> dict[int, Any]:
        """The streams of the output that streams of the source are copied to."""
        copies = {}
        for stream in source.streams:
            if stream is own or (stream.type == "video" and stream.index == own.index):
                continue
            copy = self._copy_of(output, stream)
            if copy is None:
                self.notes.append(
                    f"the {_name(stream)} can't be in a {self.path.suffix} file, and is left out"
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
        if stream.type in ("video", "data"):
            return None
        context = stream.codec_context
        try:
            if context is None or context.codec.canonical_name in output.supported_codecs:
                return output.add_stream_from_template(stream)
            if stream.type == "audio":
                return self._sound_encoder(output, stream)
        except (ValueError, TypeError, av.error.FFmpegError):
            pass
        return None

    def _sound_encoder(self, output: Any, stream: Any) -> Any:
        """A stream for sound that the output can't hold as it is."""
        layout = "mono" if stream.codec_context.layout.nb_channels == 1 else "stereo"
        copy = output.add_stream(SOUND[self.path.suffix.lower()], rate=SOUND_HZ, layout=layout)
        self.encoders[stream.index] = copy, av.AudioResampler(copy.format, layout, SOUND_HZ)
        self.notes.append(f"the {_name(stream)} is encoded anew for a {self.path.suffix} file")
        return copy

    def _rest(self, source: Any, copies: dict[int, Any]) -> Iterator[tuple[float, Any]]:
        """The source's other packets, from start to end."""
        if not copies:
            return
        origin = (source.start_time or 0) / av.time_base
        streams = [source.streams[index] for index in copies]
        if self.start:
            source.seek(round((origin + self.start) * av.time_base))
        with suppress(av.error.FFmpegError):  # where it is broken off, the pictures were too
            for packet in source.demux(streams):
                if packet.pts is None or packet.dts is None:
                    continue
                base = packet.time_base
                time = float(packet.pts * base) - origin
                if time >= self.end or (self.start and time < self.start):
                    continue
                if packet.stream_index in self.encoders:
                    yield from self._encoded(packet, origin)
                    continue
                shift = round((origin + self.start) / base)
                packet.pts -= shift
                packet.dts -= shift
                packet.stream = copies[packet.stream_index]
                yield float(packet.dts * base), packet
        for stream, resampler in self.encoders.values():
            for frame in resampler.resample(None):
                yield from _timed(stream.encode(frame))
            yield from _timed(stream.encode(None))

    def _encoded(self, packet: Any, origin: float) -> Iterator[tuple[float, Any]]:
        stream, resampler = self.encoders[packet.stream_index]
        for heard in packet.decode():
            heard.pts -= round((origin + self.start) / heard.time_base)
            for frame in resampler.resample(heard):
                yield from _timed(stream.encode(frame))


def _part_packets(parts: Sequence[Part], clip: Clip) -> Iterator[Any]:
    """The packets of the parts, one after the other, at the times they were made for: files count
    from where they like. They are read twice, first for their times alone, so that a long film
    isn't held in memory.
    """
    times, shifts = Times(clip), []
    for part in parts:
        ticks = [_ticks(packet, clip.time_base) for packet in _packets(part)]
        shifts.append(part.first - min(ticks, default=0))
        times.pts += [pts + shifts[-1] for pts in ticks]
    times.pts.sort()
    for part, shift in zip(parts, shifts, strict=True):
        for packet in _packets(part):
            packet.pts, packet.time_base = _ticks(packet, clip.time_base) + shift, clip.time_base
            after = bisect_right(times.pts, packet.pts)
            ends = times.pts[after] if after < len(times.pts) else packet.pts + times.step
            packet.duration = ends - packet.pts
            times.time(packet)
            yield packet


def _packets(part: Part) -> Iterator[Any]:
    with closing(open_container(str(part.path))) as container:
        yield from islice(_video_packets(container), part.frames)


def _video_packets(container: Any) -> Iterator[Any]:
    """Up to where it ends or is broken off."""
    with suppress(av.error.FFmpegError):
        for packet in container.demux(container.streams.video[0]):
            if packet.pts is not None and packet.size:
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


def _when(timed: tuple[float, Any]) -> float:
    return timed[0]
