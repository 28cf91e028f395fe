"""Frames → a file that can be played at any moment, and gone on with after any crash.

While a film is made, its pictures alone are in a work file, ``OUT.part.mp4``: of a kind that plays
however it ends. It is encoded in segments, each by an encoder of its own, so that one that is gone
on with is the same, byte for byte, as one that was never interrupted. At the end the pictures are
copied from there, and sound, subtitles, chapters and the rest from the source.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags

from impasto import files
from impasto.errors import OutputError, reason
from impasto.video.codecs import Codec
from impasto.video.frames import BT709, JPEG_RANGE, MPEG_RANGE, SRGB, Clip, Colour
from impasto.video.reading import open_container

GOP_SECONDS = 2
"""Between frames that decoding can begin at, and pieces of an MP4 that is being made."""
MOST_TICKS = 2**31 - 1
FRAGMENTED = {"movflags": "+frag_keyframe+empty_moov+default_base_moof"}
SIMPLE = {"movflags": "+faststart"}
"""The index first, where browsers want it."""
SOUND = {".webm": "libopus", ".mp4": "aac", ".m4v": "aac", ".mov": "aac", ".mkv": "libopus"}
"""What sound becomes that a kind of file can't hold."""
SOUND_HZ = 48_000
GIF_TIME = Fraction(1, 100)
SWS_601 = 5
"""What FFmpeg's scaler calls BT.601, whatever its number in H.273."""
HELD_BACK = 4
"""So many frames at most are encoded before one that is shown earlier."""


@dataclass(frozen=True)
class Part:
    """The first ``frames`` frames of a work file, the first of them at ``first``."""

    path: Path
    first: int
    frames: int


class FilmWriter:
    """Writes a work file. Raises OutputError."""

    def __init__(self, path: Path, codec: Codec, clip: Clip) -> None:
        self.codec, self.clip, self.path = codec, clip, path
        self.width, self.height = clip.width, clip.height
        if codec.even:
            self.width, self.height = clip.width // 2 * 2, clip.height // 2 * 2
        self.colour = output_colour(clip)
        if codec.is_rgb:
            self.colour = Colour(BT709, SRGB, 0, JPEG_RANGE)
        self.times = Times(clip)
        self.encoder: Any = None
        try:
            options = FRAGMENTED if path.suffix in (".mp4", ".m4v", ".mov") else {}
            self.container = av.open(str(path), "w", options={**options, "flush_packets": "1"})
            self.stream: Any = self.container.add_stream(
                codec.encoder, rate=clip.rate, options=self._options()
            )
            self._describe(self.stream.codec_context)
            self.stream.time_base = clip.time_base
            self.container.start_encoding()
        except (OSError, av.error.FFmpegError) as error:
            raise OutputError(f"{path} can't be written: {_why(error)}") from error

    def _options(self) -> dict[str, str]:
        return {**self.codec.options, "g": str(max(1, round(self.clip.rate * GOP_SECONDS)))}

    def _describe(self, context: Any) -> None:
        context.width, context.height = self.width, self.height
        context.pix_fmt = self.codec.pixels
        context.time_base, context.framerate = self.clip.time_base, self.clip.rate
        context.sample_aspect_ratio = self.clip.aspect
        context.color_primaries, context.color_trc = self.colour.primaries, self.colour.transfer
        context.colorspace, context.color_range = self.colour.matrix, self.colour.range
        context.flags |= Flags.global_header

    def write(self, pixels: np.ndarray, pts: int) -> None:
        """Encode a frame, (H, W, 3 or 4) of uint8. Raises OutputError."""
        if self.encoder is None:
            self.encoder = av.CodecContext.create(self.codec.encoder, "w")
            self.encoder.options = self._options()
            self._describe(self.encoder)
        frame = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(pixels[: self.height, : self.width]),
            format="rgb24" if pixels.shape[2] == 3 else "rgba",
        ).reformat(
            format=self.codec.pixels,
            dst_colorspace=SWS_601 if self.colour.matrix in (5, 6) else self.colour.matrix or None,
            src_color_range=JPEG_RANGE,
            dst_color_range=self.colour.range,
        )
        frame.pts, frame.time_base = pts, self.clip.time_base
        self.times.shown(pts)
        self._mux(self.encoder.encode(frame))

    def relies_on(self, frames: int) -> bool:
        """Whether the first so many frames are in the file: a piece of it is written when the next
        one begins.
        """
        return self.times.packets > frames + 1

    def end_segment(self) -> None:
        """What comes now doesn't depend on what was. Raises OutputError."""
        if self.encoder is not None:
            self._mux(self.encoder.encode(None))
            self.encoder = None

    @property
    def part(self) -> Part:
        """What was written."""
        return Part(self.path, self.times.pts[0], len(self.times.pts))

    def close(self) -> None:
        """Raises OutputError."""
        self.end_segment()
        try:
            self.container.close()
        except (OSError, av.error.FFmpegError) as error:
            raise OutputError(f"{self.path} can't be written: {_why(error)}") from error

    def abandon(self) -> None:
        """Let go of the file, as it is."""
        with suppress(OSError, av.error.FFmpegError):
            self.container.close()

    def _mux(self, packets: list[Any]) -> None:
        try:
            for packet in packets:
                packet.stream, packet.time_base = self.stream, self.clip.time_base
                self.times.time(packet)
                self.container.mux(packet)
        except (OSError, av.error.FFmpegError) as error:
            raise OutputError(f"{self.path} can't be written: {_why(error)}") from error


class Times:
    """When each packet is to be decoded: as the frames are shown, but so many earlier that those
    that are encoded before their turn are there. Every encoder counts that for itself; across
    segments, and files that forget it, we have to.
    """

    def __init__(self, clip: Clip) -> None:
        self.step = max(1, round(1 / (clip.rate * clip.time_base)))  # between two frames, usually
        self.pts: list[int] = []
        self.packets = 0

    def shown(self, pts: int) -> None:
        self.pts.append(pts)

    def time(self, packet: Any) -> None:
        """Set a packet's decoding time."""
        index = self.packets - HELD_BACK
        self.packets += 1
        packet.dts = self.pts[index] if index >= 0 else self.pts[0] + index * self.step


def output_colour(clip: Clip) -> Colour:
    """The source's, where a film can have it; what was RGB or HDR becomes BT.709."""
    if clip.hdr or clip.colour.matrix == 0:
        return Colour(BT709, BT709, BT709, MPEG_RANGE)
    return clip.colour


def part_packets(parts: Sequence[Part], clip: Clip) -> Iterator[Any]:
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
        for packet in part_packets(self.parts, self.clip):
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


def write_gif(parts: Sequence[Part], output: Path, clip: Clip) -> None:
    """A GIF of lossless work files: one palette for all of it, chosen in a first pass (FFmpeg's
    ``palettegen``). Raises OutputError.
    """
    files.make_atomically(output, lambda path: _write_gif(parts, path, clip))


def _write_gif(parts: Sequence[Part], path: Path, clip: Clip) -> None:
    palette = _palette(parts)
    graph = av.filter.Graph()
    with av.open(str(path), "w", format="gif", options={"loop": "0"}) as output:
        gif: Any = output.add_stream("gif", rate=clip.rate)
        gif.pix_fmt, gif.width, gif.height = "pal8", clip.width, clip.height
        gif.time_base = gif.codec_context.time_base = GIF_TIME
        pictures = colours = None
        for frame, seconds in _part_frames(parts, clip):
            frame.pts, frame.time_base = round(seconds / GIF_TIME), GIF_TIME
            if pictures is None or colours is None:
                pictures, colours = (
                    graph.add_buffer(
                        width=f.width, height=f.height, format=f.format, time_base=GIF_TIME
                    )
                    for f in (frame, palette)
                )
                used, sink = graph.add("paletteuse"), graph.add("buffersink")
                pictures.link_to(used, 0, 0)
                colours.link_to(used, 0, 1)
                used.link_to(sink)
                graph.configure()
                palette.pts, palette.time_base = 0, GIF_TIME
                colours.push(palette)
                colours.push(None)
            pictures.push(frame)
            _drain_into(sink, gif, output)
        if pictures is not None:
            pictures.push(None)
            _drain_into(sink, gif, output)
        output.mux(gif.encode(None))


def _drain_into(sink: Any, stream: Any, output: Any) -> None:
    """Encode the frames that have come through a filter."""
    with suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            frame = sink.pull()
            output.mux(stream.encode(frame))


def _palette(parts: Sequence[Part]) -> Any:
    """A frame of 16 × 16 pixels: the colours that suit all of it."""
    graph, first, sink = av.filter.Graph(), None, None
    for part in parts:
        with closing(open_container(str(part.path))) as pictures:
            for frame in pictures.decode(video=0):
                if first is None:
                    first = graph.add_buffer(template=pictures.streams.video[0])
                    chosen, sink = graph.add("palettegen"), graph.add("buffersink")
                    first.link_to(chosen)
                    chosen.link_to(sink)
                    graph.configure()
                first.push(frame)
    assert first is not None
    assert sink is not None
    first.push(None)
    return sink.pull()


def _part_frames(parts: Sequence[Part], clip: Clip) -> Iterator[tuple[Any, Fraction]]:
    """Frames and their times in seconds."""
    for part in parts:
        with closing(open_container(str(part.path))) as pictures:
            start: Fraction | None = None
            frames: Any = islice(pictures.decode(video=0), part.frames)
            for frame in frames:
                time = frame.pts * frame.time_base
                start = time if start is None else start
                yield frame, part.first * clip.time_base + time - start


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


def _why(error: Exception) -> str:
    return reason(error) if isinstance(error, OSError) else str(error)
