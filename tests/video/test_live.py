"""Live pictures: on loopback, through real encoders and sockets."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager
from pathlib import Path

import av
import clips
import cv2
import numpy as np
import pytest

from impasto.base.errors import ImageError, OutputError
from impasto.live.session import stylize_live
from impasto.live.sinks import BY_SUFFIX, VideoSink, open_sink
from impasto.live.slot import Slot
from impasto.live.sources import LiveSource, live_input
from impasto.live.stylist import ORDERS, Stylist
from impasto.settings.methods import bounds

STYLE = "violet-spots"
BITS = 16
MAX_LATENCY_S = 1.0  # a queue that grows reaches several seconds; a fast machine has 0.2 s


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Sender:
    """A camera somewhere else: pictures over UDP, each with the time it was taken in black and
    white blocks along its top.
    """

    def __init__(self, port: int, width: int, height: int, rate: int = 25) -> None:
        self.port, self.size, self.rate = port, (width, height), rate
        self.picture = clips.photo(width, height)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        width, height = self.size
        address = f"udp://127.0.0.1:{self.port}?pkt_size=1316"
        options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "20"}
        with av.open(address, "w", format="mpegts") as container:
            stream = container.add_stream("libx264", rate=self.rate, options=options)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.gop_size = 10
            for index in range(10_000):
                if self.stop.wait(1 / self.rate):
                    return
                pixels = stamped(self.picture, time.monotonic())
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts = index
                container.mux(stream.encode(frame))

    def close(self) -> None:
        self.stop.set()
        self.thread.join(5)


def stamped(picture: np.ndarray, now: float) -> np.ndarray:
    """With the time, in milliseconds, as blocks."""
    pixels, code = picture.copy(), int(now * 1000) % 2**BITS
    block = pixels.shape[1] // BITS
    for bit in range(BITS):
        pixels[:block, bit * block : (bit + 1) * block] = 255 if code >> bit & 1 else 0
    return pixels


def stamp(pixels: np.ndarray) -> float:
    """The time, in seconds, modulo some."""
    block = pixels.shape[1] // BITS
    inner = slice(block // 4, 3 * block // 4)
    code = 0
    for bit in range(BITS):
        start = bit * block
        code |= int(pixels[inner, start + block // 4 : start + 3 * block // 4].mean() > 127) << bit
    return code / 1000


def test_the_newest_is_taken_and_the_others_are_dropped():
    slot: Slot[int] = Slot()
    for number in range(5):
        slot.put(number)
    assert (slot.take(1), slot.dropped) == (4, 4)
    assert slot.take(0.1) is None
    slot.put(7)
    slot.close()
    assert not slot.is_closed
    assert slot.take(1) == 7
    assert slot.is_closed


def test_a_stream_in_and_out_is_not_late():
    """UDP in, painted, UDP out: what arrives was taken less than a second ago."""
    port_in, port_out = free_port(), free_port()
    sender = Sender(port_in, 640, 360)
    # At strength 0 the network paints, and its picture is left out: the time can be read.
    command = [
        *(sys.executable, "-m", "impasto", "live", f"udp://127.0.0.1:{port_in}"),
        *(f"udp://127.0.0.1:{port_out}?pkt_size=1316", "--style", STYLE, "--strength", "0"),
        *("--rate", "15", "--seconds", "9", "--json"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               stdin=subprocess.DEVNULL)  # fmt: skip
    try:
        late = []
        options = {"fflags": "nobuffer", "flags": "low_delay", "probesize": "100000",
                   "analyzeduration": "100000"}  # fmt: skip
        address = f"udp://127.0.0.1:{port_out}"
        with av.open(address, options=options, timeout=60) as container:
            container.streams.video[0].codec_context.thread_type = "SLICE"
            for frame in container.decode(video=0):
                taken = stamp(frame.to_ndarray(format="rgb24"))
                late.append((time.monotonic() - taken) % (2**BITS / 1000))
                if len(late) == 60:
                    break
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        sender.close()
    late = sorted(late[15:])  # while both ends begin, there is a backlog
    told = json.loads(out)
    assert late[len(late) // 2] < MAX_LATENCY_S, (late, err)
    assert told["shown"] > 60


def test_a_source_that_is_lost_and_comes_back(tmp_path):
    port = free_port()
    sender = Sender(port, 320, 192)
    source = LiveSource(f"udp://127.0.0.1:{port}?timeout=1000000")
    try:
        source.start(20)
        sender.close()
        deadline = time.monotonic() + 20
        while "is lost; waiting" not in " ".join(source.messages):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        before = source.picture_count
        sender = Sender(port, 320, 192)
        while source.picture_count < before + 5:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert "is back" in " ".join(source.messages)
    finally:
        source.close()
        sender.close()


def test_a_sink_that_is_lost_and_comes_back():
    """Nobody listens at first; later somebody does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sink = open_sink(f"tcp://127.0.0.1:{port}", 25)
    picture = clips.photo(160, 96)
    for _ in range(15):
        sink.show(picture, time.monotonic())
        time.sleep(0.04)
    assert "is lost" in " ".join(sink.messages)
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(20)
        feeding = threading.Event()

        def feed() -> None:
            while not feeding.is_set():
                sink.show(picture, time.monotonic())
                time.sleep(0.04)

        thread = threading.Thread(target=feed, daemon=True)
        thread.start()
        connection, _ = server.accept()
        with connection:
            assert len(connection.recv(10_000)) > 0
            feeding.set()
            thread.join()
            sink.close()
    assert "is back" in " ".join(sink.messages)


def test_pictures_that_change_their_size(tmp_path):
    """The film keeps the first one's size, the others fit into it."""
    stylist = Stylist(STYLE)
    sink = VideoSink(str(tmp_path / "out.mp4"), None, 25)
    for width, height in ((160, 96), (160, 96), (96, 160), (320, 192)):
        painted = stylist.painted(clips.photo(width, height))
        assert painted.shape == (height, width, 3)
        sink.show(painted, time.monotonic())
        time.sleep(0.15)
    sink.close()
    with av.open(str(tmp_path / "out.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert {frame.shape for frame in frames} == {(96, 160, 3)}
    assert frames[2][:, :40].max() < 30  # an upright one stands on black


def test_the_style_changes_while_it_runs():
    stylist = Stylist(STYLE)
    picture = clips.photo(160, 96)
    first = stylist.painted(picture)
    stylist.change(style="honey-wash")
    second = stylist.painted(picture)
    assert np.abs(first.astype(int) - second).mean() > 10
    fresh = Stylist("honey-wash").painted(picture)
    assert np.abs(fresh.astype(int) - second).max() <= 1  # nothing of the old one is left
    stylist.change(strength=0.0)
    third = stylist.painted(picture)
    assert np.abs(third.astype(int) - picture).mean() < 2
    with pytest.raises(ImageError, match="no such file"):
        stylist.change(style="none.jpg")
    assert np.abs(stylist.painted(picture).astype(int) - picture).mean() < 2


def test_the_size_follows_the_time_there_is():
    stylist = Stylist(STYLE, size=1024, rate=20)
    stylist.index = 5
    for _ in range(3):
        stylist._adapt(0.2, 1024)
    assert stylist.side == 640
    stylist.last_late_time -= 10
    stylist._adapt(0.01, 1024)
    assert stylist.side == 720
    stylist._adapt(0.01, 1024)  # not at once again
    assert stylist.side == 720


def test_a_small_picture_is_painted_smaller_at_once():
    stylist = Stylist(STYLE, rate=20)
    stylist.index = 5
    stylist._adapt(0.2, 640)
    assert stylist.side == 512
    assert stylist._reduced(clips.photo(640, 360)).shape == (288, 512, 3)


def test_without_stability_no_motion_is_looked_for(monkeypatch):
    stylist = Stylist(STYLE, stability=0)
    monkeypatch.setattr(stylist, "tracker", None)
    assert stylist.painted(clips.photo(160, 96)).shape == (96, 160, 3)


COMMANDS = ["style honey-wash\n", "strokes x\n", "strokes 99\n", "strength nan\n", "dance\n"]


def test_a_file_as_if_it_were_live(impasto, clip, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", iter(COMMANDS))
    ended = impasto("live", clip, "out.mp4", "--style", STYLE, "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert 3 <= told["shown"] <= 24
    assert told["shown"] + told["dropped"] >= 20
    assert 0.5 < told["seconds"] < 5
    assert ended.err.count("strokes is a number from 0.1 to 8") == 2
    assert "strength is a number from 0 to 100" in ended.err
    assert "an order is" in ended.err
    with av.open(str(tmp_path / "out.mp4")) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
    assert len(times) >= 3
    assert times[-1] < 1.5  # as they came


def test_numbers_have_the_bounds_of_the_recipe(impasto, clip):
    assert all((low, high) == bounds(name) for name, low, high in ORDERS.values())
    for flag, value, allowed in (
        ("--strength", "101", "0<=x<=100"),
        ("--style-scale", "8.1", "0.1<=x<=8"),
        ("--style-scale", "0.09", "0.1<=x<=8"),
    ):
        ended = impasto("live", clip, "o.mp4", "--style", STYLE, flag, value)
        sentence = f"Invalid value for '{flag}': {float(value)} is not in the range {allowed}."
        assert ended.sentence() == sentence


def test_bad_ends(impasto, clip, tmp_path):
    def sentence(*arguments: object) -> str:
        return impasto("live", *arguments, "--style", STYLE).sentence()

    assert "no such file, camera, screen or address" in sentence("none.mp4", "o.mp4")
    assert "Missing option" in impasto("live", clip, "o.mp4").sentence()
    assert "/dev/video99" in sentence("/dev/video99", "o.mp4")
    assert "pictures can be sent by" in sentence(clip, "gopher://127.0.0.1/")
    assert "OpenCV has no windows here" in sentence(clip, "window")
    (tmp_path / "there.mp4").write_text("mine")
    assert "exists already" in sentence(clip, "there.mp4")
    (tmp_path / "words.mp4").write_text("no film")
    assert "isn't a film" in sentence("words.mp4", "o.mp4")
    for name in ("out.gif", "out.xyz", "out"):
        assert "a file of .mp4" in sentence(clip, name)
        assert not Path(name).exists()


def test_places(monkeypatch):
    for system, expected in (
        ("Linux", ("/dev/video2", "v4l2")),
        ("Darwin", ("2:none", "avfoundation")),
        ("Windows", ("video=2", "dshow")),
    ):
        monkeypatch.setattr("platform.system", lambda system=system: system)
        found = live_input("camera:2")
        assert ((found.name, found.format), found.is_endless) == (expected, True)
    assert live_input("rtsp://127.0.0.1/x").is_paced
    assert not live_input("HTTPS://127.0.0.1/x.m3u8").is_paced


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="there is no Xvfb to be a screen here")
def test_the_screen(monkeypatch):
    display, number = os.pipe()
    command = ["Xvfb", "-screen", "0", "160x96x24", "-displayfd", str(number)]
    with subprocess.Popen(command, pass_fds=[number], stderr=subprocess.DEVNULL) as server:
        which = os.read(display, 16).decode().strip()
        monkeypatch.setenv("DISPLAY", f":{which}")
        for name in ("screen", f"screen:{which}"):
            source = LiveSource(name)
            assert source.start().pixels.shape == (96, 160, 3)
            source.close()
            source.thread.join(10)
        server.terminate()


def test_a_file_that_cannot_be_written(tmp_path):
    sink = VideoSink(str(tmp_path / "none" / "out.mp4"), None, 25)
    sink.show(clips.photo(64, 64), time.monotonic())
    with pytest.raises(OutputError, match="can't be written"):
        sink.close()
    sink = VideoSink(str(tmp_path / "out.xyz"), None, 25)  # PyAV's own ValueError
    sink.show(clips.photo(64, 64), time.monotonic())
    with pytest.raises(OutputError, match="can't be written"):
        sink.close()


@pytest.mark.parametrize("suffix", BY_SUFFIX)
def test_a_file_can_be_played_however_it_ends(suffix, tmp_path):
    path = tmp_path / f"out{suffix}"
    sink = open_sink(str(path), 5)
    assert isinstance(sink, VideoSink)
    for number in range(16):
        sink.show(clips.photo(96, 64, number % 3), time.monotonic())
        deadline = time.monotonic() + 20
        while sink.encoded_count <= number:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    killed = tmp_path / f"killed{suffix}"
    killed.write_bytes(path.read_bytes())
    assert len(pictures(killed)) >= 10
    sink.close()
    assert len(pictures(path)) == 16


def pictures(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@contextmanager
def web(handler):
    """A web server's address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Folder(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None: ...


def hls(folder: Path, frames: list[np.ndarray]) -> None:
    """Three segments, whose clock jumps an hour on, and back."""
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXT-X-MEDIA-SEQUENCE:0"]
    for number, start in enumerate((0, 3_600_000, 1_000)):
        times = [start + 40 * index for index in range(len(frames))]
        clips.write(folder / f"{number}.ts", frames, times=times)
        lines += ["#EXT-X-DISCONTINUITY", "#EXTINF:0.96,", f"{number}.ts"]
    (folder / "list.m3u8").write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))


@pytest.mark.parametrize("name", ["list.m3u8", "film.mp4"])
def test_what_comes_in_bursts_is_shown_in_its_own_time(name, tmp_path, frames):
    hls(tmp_path, frames)
    clips.write(tmp_path / "film.mp4", frames * 3, container={"movflags": "faststart"})
    with web(functools.partial(Folder, directory=tmp_path)) as address:
        source = LiveSource(f"{address}/{name}")
        source.start()
        started, taken = time.monotonic(), 1
        while not source.slot.is_closed:
            taken += source.slot.take(0.5) is not None
        source.close()
    assert time.monotonic() - started > 2  # 72 pictures, 25 a second
    assert (source.picture_count, source.damaged_count, list(source.messages)) == (72, 0, [])
    assert taken > 60


def test_a_motion_jpeg_is_as_quick_as_it_comes():
    """It has no times; FFmpeg makes up some, of 25 a second."""
    picture = cv2.imencode(".jpg", clips.photo(160, 96))[1].tobytes()

    class Camera(Folder):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b"--next\r\nContent-Type: image/jpeg\r\n\r\n" + picture + b"\r\n")
                time.sleep(0.02)

    with web(Camera) as address:
        source = LiveSource(f"{address}/")
        source.start()
        deadline = time.monotonic() + 60
        while not source.is_lost:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        source.close()
    assert source.picture_count >= 90  # none is dropped for being early or late


def test_an_address_that_gives_nothing_is_not_waited_for(impasto, tmp_path):
    with web(functools.partial(Folder, directory=tmp_path)) as address:
        said = impasto("live", f"{address}/none.m3u8", "o.mp4", "--style", STYLE).sentence()
    assert "404" in said


def test_a_silent_source_can_be_left(impasto, tmp_path, frames, monkeypatch):
    monkeypatch.setattr("sys.stdin", iter([]))
    film, over = clips.write(tmp_path / "film.ts", frames).read_bytes(), threading.Event()

    class Silent(Folder):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(film)
            self.wfile.flush()
            over.wait(20)

    with web(Silent) as address:
        arguments = ("--style", STYLE, "--seconds", "2", "--json")
        ended = impasto("live", f"{address}/", "out.mp4", *arguments)
        over.set()
    told = json.loads(ended.out)
    assert 2 <= told["seconds"] < 5
    assert told["shown"] >= 3
    assert 0 < told["rate"] < 20
    assert told["latency_ms"] > 0


def test_damaged_packets_are_left_out_counted_and_told_once(tmp_path, frames):
    path = clips.write(tmp_path / "film.mkv", frames, options={"crf": "12", "g": "1", "bf": "0"})
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for index in (8, 12):
        start = data.index(bytes(packets[index]))
        data[start : start + packets[index].size] = b"\xff" * packets[index].size
    path.write_bytes(data)
    source = LiveSource(str(path))
    source.start()
    source.thread.join(10)
    assert (source.picture_count, source.damaged_count) == (22, 2)
    assert list(source.messages) == [f"{path} is damaged in places; they are left out"]


class Shown:
    """A sink that has enough at the third picture, or of waiting for one."""

    def __init__(self, patience: int = 100) -> None:
        self.messages: deque[str] = deque()
        self.count, self.patience = 0, patience

    def show(self, pixels, at) -> bool:
        self.count += 1
        self.messages.append(f"picture {self.count}")
        return self.count < 3

    def should_continue(self) -> bool:
        self.patience -= 1
        return self.patience > 0

    def close(self) -> None: ...


def test_a_window_is_asked_while_the_source_is_silent(clip):
    source = LiveSource(str(clip))  # never begun
    threading.Timer(5, source.close).start()
    events = list(stylize_live(source, Stylist(STYLE), Shown(patience=3)))
    assert [(event.shown, event.rate, event.latency) for event in events] == [(0, 0, 0)] * 3


def test_all_news_are_told(clip):
    source, sink = LiveSource(str(clip)), Shown()
    source.messages.append("first")
    theirs = sink.messages
    source.start()
    told = [event.message for event in stylize_live(source, Stylist(STYLE), sink) if event.message]
    source.close()
    assert " ".join(told) == "first picture 1 picture 2 picture 3"
    assert sink.messages is theirs  # a thread that adds to them keeps them


def test_live_ends_with_its_source(clip):
    source, sink = LiveSource(str(clip)), Shown()
    source.start()
    events = list(stylize_live(source, Stylist(STYLE), sink))
    source.close()
    assert (events[-1].shown, sink.count) == (3, 3)
    assert all(0 <= event.latency < 5 for event in events)
