"""The studio by https, with a certificate of its own or another."""

from __future__ import annotations

import ssl
import stat

import httpx
import pytest
from studio_server import running

from impasto.cli.app import main
from impasto.live.sinks import open_sink
from impasto.studio.server.certificate import FILE, own_certificate


def test_its_certificate_is_kept_for_as_long_as_it_suits(tmp_path):
    path = own_certificate(tmp_path, ["studio.example"])
    first = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert own_certificate(tmp_path, ["studio.example"]).read_bytes() == first
    own_certificate(tmp_path, ["another.example", "192.0.2.77"])
    assert path.read_bytes() != first
    path.write_bytes(b"damaged")
    own_certificate(tmp_path, [])
    assert b"PRIVATE KEY" in path.read_bytes()


def test_it_vouches_for_the_names_it_is_given(tmp_path):
    data = tmp_path / "data"
    with running(data, "--https", "--token", "sesame") as studio:
        assert studio.address.startswith("https://")
        believing = ssl.create_default_context(cafile=data / FILE)
        port = studio.address.rsplit(":", 1)[1]
        for host in ("127.0.0.1", "localhost"):
            address = f"https://{host}:{port}/?token=sesame"
            answer = httpx.get(address, verify=believing)
            assert answer.status_code == 303
            assert "Secure" in answer.headers["set-cookie"]
        with pytest.raises(httpx.ConnectError, match="self-signed"):
            httpx.get(studio.address)
        sink = open_sink(f"studio:{studio.address}/?token=sesame", 25)
        sink.close()
        with running(tmp_path / "other", "--certificate", data / FILE) as other:
            assert httpx.get(other.address, verify=believing).status_code == 200


@pytest.mark.parametrize("content", [None, "no certificate", "a folder"])
def test_a_certificate_that_is_none(content, tmp_path, capsys):
    path = tmp_path / "certificate.pem"
    if content == "a folder":
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    data = ["--data", str(tmp_path / "data"), "--port", "0"]
    with pytest.raises(SystemExit, match="2"):
        main(["studio", "--certificate", str(path), *data])
    said = capsys.readouterr().err.strip()
    assert said.startswith("impasto: ")
    assert str(path) in said
    assert len(said.splitlines()) == 1
