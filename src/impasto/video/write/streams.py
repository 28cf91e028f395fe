"""Copying a film's sound, subtitles and other streams besides its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import av

from impasto.video.containers import is_cover
from impasto.video.write.codecs import QUICKTIME

SOUND_ENCODERS = {
    ".webm": "libopus", ".mp4": "aac", ".m4v": "aac", ".mov": "aac", ".mkv": "libopus",
}  # fmt: skip
"""The encoder for sound that a kind of file can't contain as it is."""
SOUND_HZ = 48_000
SUBTITLE_MARGIN_S = 10.0
"""A subtitle that is shown where a cut begins may have begun so much before."""
MP4 = (".mp4", ".m4v")
"""Files that may contain a cover as a stream."""


class StreamCopier:
    """Copies the streams of a film from ``start`` to ``end``, except its pictures.

    Args:
        suffix: The suffix of the output, in lower case.
        start: Where the output begins in the source, seconds.
        end: Where it ends, seconds.

    Attributes:
        compatibility_notes: Sentences about the streams that the output can't contain as they are.
        notes: Sentences about damaged parts.
    """

    def __init__(self, suffix: str, start: float, end: float) -> None:
        self.suffix, self.start, self.end = suffix, start, end
        self.compatibility_notes: list[str] = []
        self.notes: list[str] = []
        self.encoders: dict[int, tuple[Any, Any]] = {}  # stream and resampler by source index

    def add_streams(self, output: Any, source: Any, pictures: Any) -> dict[int, Any]:
        """Add streams to the output.

        Args:
            output: The container to write.
            source: The film.
            pictures: The film's stream of pictures, which is left out.

        Returns:
            The output's streams by the index of the source's stream.
        """
        copies = {}
        for stream in source.streams:
            if stream.index == pictures.index:
                continue
            copy = self._add_stream(output, stream)
            if copy is None:
                self.compatibility_notes.append(
                    f"the {_describe(stream)} can't be in a {self.suffix} file, and is left out"
                )
                continue
            for key, value in stream.metadata.items():
                copy.metadata[key] = value
            with suppress(AttributeError, ValueError):
                copy.disposition = stream.disposition
            if stream.type != "attachment":
                copies[stream.index] = copy
        return copies

    def _add_stream(self, output: Any, stream: Any) -> Any:
        """Return a stream that is added for another one, or None if the output can't contain it."""
        if stream.type == "data" or (stream.type == "attachment" and self.suffix != ".mkv"):
            return None
        if stream.type == "video" and not (is_cover(stream) and self.suffix in MP4):
            return None
        context = stream.codec_context
        if stream.type == "audio" and (context is None or not context.sample_rate):
            return None  # its codec is unknown
        try:
            if context is None or self._supports(output, context.codec.canonical_name):
                return output.add_stream_from_template(stream)
            if stream.type == "audio":
                return self._add_sound_encoder(output, stream)
        except (ValueError, TypeError, av.error.FFmpegError):
            pass
        return None

    def _supports(self, output: Any, codec: str) -> bool:
        """Return whether players support the codec in a file of this kind.

        FFmpeg copies uncompressed sound to MP4 under the name of another codec, so that it is
        played as noise.
        """
        if codec.startswith("pcm_") and self.suffix in MP4:
            return False
        return codec in output.supported_codecs

    def _add_sound_encoder(self, output: Any, stream: Any) -> Any:
        """Add a stream for sound that the output can't contain as it is."""
        layout = "mono" if stream.codec_context.layout.nb_channels == 1 else "stereo"
        copy = output.add_stream(SOUND_ENCODERS[self.suffix], rate=SOUND_HZ, layout=layout)
        self.encoders[stream.index] = copy, _resampler(copy)
        self.compatibility_notes.append(
            f"the {_describe(stream)} is encoded anew for a {self.suffix} file"
        )
        return copy

    def packets(self, source: Any, copies: dict[int, Any]) -> Iterator[tuple[float, Any]]:
        """Yield the source's packets for these streams, with their decoding times in seconds.

        Args:
            source: The film.
            copies: What ``add_streams`` has returned.
        """
        if not copies:
            return
        origin = (source.start_time or 0) / av.time_base
        streams = [source.streams[index] for index in copies]
        if self.start:
            with suppress(av.error.FFmpegError, OSError):  # else it is read from its beginning
                target = origin + max(0.0, self.start - SUBTITLE_MARGIN_S)
                source.seek(round(target * av.time_base))
        damaged = 0
        with suppress(av.error.FFmpegError):  # where the file ends, its pictures do, too
            for packet in source.demux(streams):
                if is_cover(packet.stream) and packet.size:
                    packet.pts = packet.dts = 0
                    packet.stream = copies[packet.stream_index]
                    yield 0.0, packet
                    continue
                if packet.pts is None or packet.dts is None:
                    continue
                # What an edit list hides would be heard in a file that has no edit list.
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
                yield from _with_times(stream.encode(frame))
            yield from _with_times(stream.encode(None))

    def _encoded(self, packet: Any, origin: float) -> Iterator[tuple[float, Any]]:
        """Decode and encode a packet of sound."""
        stream, resampler = self.encoders[packet.stream_index]
        for decoded in packet.decode():
            if decoded.pts is not None:
                decoded.pts -= round((origin + self.start) / decoded.time_base)
            try:
                frames = resampler.resample(decoded)
            except ValueError:  # the sound has changed its format, for instance to mono
                resampler = _resampler(stream)
                self.encoders[packet.stream_index] = stream, resampler
                frames = resampler.resample(decoded)
            for frame in frames:
                yield from _with_times(stream.encode(frame))


def _resampler(stream: Any) -> av.AudioResampler:
    """Return a resampler to the format that a stream's encoder takes."""
    return av.AudioResampler(stream.format, stream.layout, SOUND_HZ)


def _describe(stream: Any) -> str:
    """Return a stream's kind and codec for a sentence."""
    kinds = {"audio": "sound", "subtitle": "subtitles", "video": "second film or cover"}
    kind = kinds.get(stream.type, f"{stream.type} stream")
    codec = stream.codec_context.name if stream.codec_context is not None else None
    return f"{kind} ({codec})" if codec else kind


def _with_times(packets: list[Any]) -> Iterator[tuple[float, Any]]:
    for packet in packets:
        yield float(packet.dts * packet.time_base), packet
