"""Connections that do nothing end, and there are never too many."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import ssl
import subprocess
import sys
import time
from functools import partial

import httpx
import pytest
from PIL import Image
from studio_server import served
from websockets.sync.client import connect

from impasto.studio.server import connections
from impasto.studio.server.certificate import own_certificate
from impasto.studio.server.connections import Connections, RequestProtocol, new_event_loop
from impasto.studio.server.settings import Settings

MOST = 5


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    http = partial(RequestProtocol, shared=Connections(MOST))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "HEADER_S", 0.6)
        patch.setattr(connections, "STALLED_S", 0.6)
        patch.setattr(connections, "PROMPT_S", 0.2)
        settings = Settings(tmp_path_factory.mktemp("data"), workers=0)
        with served(settings, http=http) as address:
            yield address


def opened(address: str, sent: str = "") -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)), timeout=10)
    client.sendall(sent.encode())
    return client


def rest(client: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while data := client.recv(1 << 16):
            received += data
    return received


REQUEST = "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("sent", ["", "GET / HTTP/1.1\r\nHost: loc"])
def test_no_complete_header_no_connection(sent, address):
    with opened(address, sent) as client:
        assert rest(client) == b""


def test_a_header_a_byte_at_a_time(address):
    with opened(address, "GET / HTTP/1.1\r\n") as client, pytest.raises(ConnectionError):
        drip(client)


def drip(client: socket.socket) -> None:
    for _ in range(300):
        client.sendall(b"X")
        time.sleep(0.05)


def test_a_second_request_that_is_never_complete(address):
    with opened(address, REQUEST + "GET / HT") as client:
        assert rest(client).count(b"HTTP/1.1 200") == 1


def test_what_is_being_answered_stays(address):
    with opened(address, REQUEST.replace("health", "live/shown")) as client:
        time.sleep(1.2)
        picture = jpeg(Image.new("L", (64, 64)))
        assert httpx.post(f"{address}/v1/live/shown", content=picture).status_code == 204
        received = b""
        while b"image/jpeg" not in received:
            received += client.recv(1 << 16)


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "jpeg", quality=95)
    return buffer.getvalue()


def test_sockets_stay(address):
    with connect(f"{address.replace('http', 'ws')}/v1/live") as live:
        time.sleep(1.2)
        assert live.ping().wait(5)


def test_who_doesnt_read_is_left(address):
    noise = Image.effect_noise((900, 900), 200)
    with opened(address, REQUEST.replace("health", "live/shown")) as client:
        for _ in range(20):
            assert httpx.post(f"{address}/v1/live/shown", content=jpeg(noise)).status_code == 204
        time.sleep(1)
        assert len(rest(client)) > 1_000_000  # what the system had taken, and then the end


def test_who_waits_makes_room(address):
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(opened(address, "GET / H")) for _ in range(MOST)]
        time.sleep(0.3)
        assert httpx.get(f"{address}/v1/health").status_code == 200
        assert rest(waiting[0]) == b""  # the oldest
        waiting[-1].sendall(REQUEST.removeprefix("GET / H").encode())


def test_a_crowd_is_answered(address):
    """Nobody is cut off who has only just come, or who still sends."""

    async def crowd() -> list[int]:
        async with httpx.AsyncClient(timeout=30) as client:
            posts = (
                client.post(f"{address}/v1/jobs", content=bytes(900_000)) for _ in range(4 * MOST)
            )
            return [answer.status_code for answer in await asyncio.gather(*posts)]

    assert set(asyncio.run(crowd())) <= {415, 503}


def test_too_many_that_are_busy(address):
    with contextlib.ExitStack() as stack:
        stream = REQUEST.replace("health", "live/shown")
        for _ in range(MOST):
            assert b" 200 " in stack.enter_context(opened(address, stream)).recv(1 << 16)
        answer = httpx.get(f"{address}/v1/health")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "10"
        assert answer.json()["detail"] == "too many are connected; try again later"
    deadline = time.monotonic() + 10
    while httpx.get(f"{address}/v1/health").status_code != 200:
        assert time.monotonic() < deadline


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize(
    ("soft", "hard", "most"), [(64, 64, 16), (256, 256, 112), (64, 1024, 496), (8, 4096, 1000)]
)
def test_the_limit_of_descriptors_is_raised(soft, hard, most):
    program = (
        "from impasto.studio.server.connections import raise_descriptor_limit as f;"
        "import resource;"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}));"
        "print(f(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    assert said.split() == [str(most).encode(), str(hard).encode(), str(hard).encode()]


@contextlib.contextmanager
def listening(shared: Connections, context: ssl.SSLContext | None = None):
    """A runner whose loop has a listener, and its address."""
    with (
        socket.create_server(("127.0.0.1", 0)) as sock,
        asyncio.Runner(loop_factory=partial(new_event_loop, shared)) as runner,
    ):
        loop = runner.get_loop()
        server = runner.run(loop.create_server(asyncio.Protocol, sock=sock, ssl=context))
        yield runner, sock.getsockname()
        server.close()
        runner.run(server.wait_closed())


def test_no_descriptor_is_left(caplog, monkeypatch):
    failures = 100
    monkeypatch.setattr(connections, "ACCEPT_RETRY_S", 0.001)
    with listening(Connections()) as (runner, address):
        loop = runner.get_loop()
        accept = loop.sock_accept

        async def full(sock):
            nonlocal failures
            failures -= 1
            if failures >= 0:
                raise OSError(24, "Too many open files")
            return await accept(sock)

        loop.sock_accept = full

        async def connected() -> None:
            for _ in range(2):  # the first was awaited before
                _, writer = await asyncio.open_connection(*address)
                writer.close()
            while failures > 0:
                await asyncio.sleep(0.01)
            _, writer = await asyncio.open_connection(*address)
            writer.close()

        runner.run(asyncio.wait_for(connected(), 20))
    assert [record.message for record in caplog.records] == [
        "no connection can be accepted: too many open files"
    ]


def test_a_handshake_that_never_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "HEADER_S", 0.4)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own_certificate(tmp_path, []))

    async def silence(address) -> bytes:
        reader, writer = await asyncio.open_connection(*address)
        try:
            return await reader.read()
        finally:
            writer.close()

    with listening(Connections(), context) as (runner, address):
        assert runner.run(asyncio.wait_for(silence(address), 10)) == b""


def test_too_many_handshakes(tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own_certificate(tmp_path, []))

    async def crowd(address) -> bytes:
        streams = [await asyncio.open_connection(*address) for _ in range(4)]
        first = await streams[0][0].read()
        for _, writer in streams:
            writer.close()
        return first

    with listening(Connections(3), context) as (runner, address):
        assert runner.run(asyncio.wait_for(crowd(address), 10)) == b""
