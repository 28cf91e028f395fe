"""Proxies and certificates of the environment, which are the user's and may be wrong."""

from __future__ import annotations

import http.server
import threading

import pytest

from impasto.base.errors import NetworkError
from impasto.networks import download
from impasto.networks.connection import ffmpeg_options, is_loopback, open_client

ELSEWHERE = "https://example.org/weights.pth"
NOBODY = "127.0.0.1:9"
"""Nothing listens at the port for discarded data."""


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "::1", "[::1]"]
)
def test_addresses_of_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "example.org", "192.168.1.2", "localhost.example.org"])
def test_addresses_of_others(host):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "proxy", ["socks://127.0.0.1:7890/", "ftp://h:1", "http://[::1", "nonsense://"]
)
@pytest.mark.parametrize("variable", ["ALL_PROXY", "HTTPS_PROXY"])
def test_a_proxy_of_another_kind_is_named_in_one_sentence(variable, proxy, monkeypatch):
    monkeypatch.setenv(variable, proxy)
    with pytest.raises(NetworkError, match=f"the proxy in {variable} can't be used"):
        open_client(ELSEWHERE)


def test_a_proxy_of_another_kind_ends_a_download_with_one_sentence(impasto, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:7890/")
    sentence = impasto("models", "pull", "vgg19-torchvision").sentence()
    assert "the proxy in ALL_PROXY can't be used" in sentence


def test_certificates_that_are_missing_are_named(impasto, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent.pem")
    sentence = impasto("models", "pull", "vgg19-torchvision").sentence()
    assert "SSL_CERT_FILE=/nonexistent.pem can't be read" in sentence


@pytest.fixture
def server():
    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_args):
            pass

    instance = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=instance.serve_forever, daemon=True).start()
    yield instance.server_port
    instance.shutdown()


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", ["http", "socks"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_reached_without_a_proxy(host, scheme, variable, server, monkeypatch):
    monkeypatch.setenv(variable, f"{scheme}://{NOBODY}")
    address = f"http://{host}:{server}/"
    with open_client(address) as client:
        assert client.get(address).text == "ok"


def test_a_download_from_elsewhere_goes_through_the_proxy(tmp_path, server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server}")
    digest = "md5:444bcb3a3fcf8389296c49467f27e1d6"  # of what the proxy answers
    list(download.fetch("http://example.org/file", tmp_path / "file", digest))
    assert (tmp_path / "file").read_bytes() == b"ok"


def test_the_live_pages_studio_is_reached_without_a_proxy(server, monkeypatch):
    from impasto.live.sinks import open_sink

    monkeypatch.setenv("HTTP_PROXY", f"http://{NOBODY}")
    open_sink(f"studio:http://127.0.0.1:{server}/?token=SECRET", 25).close()


def test_ffmpeg_uses_no_proxy_for_this_machine():
    assert ffmpeg_options("http://127.0.0.1:8080/stream") == {"http_proxy": ""}
    for other in ("http://example.org/stream", "rtmp://127.0.0.1/x", "film.mp4", "http://[bad"):
        assert ffmpeg_options(other) == {}
