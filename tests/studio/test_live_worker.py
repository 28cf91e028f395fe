"""A live session's pictures are measured before they are decoded."""

from __future__ import annotations

import base64
import io
import resource

import cv2
import pytest
from PIL import Image
from test_guard import bomb

from impasto.base.errors import ImageError
from impasto.studio.workers.live_worker import PAINTING_PX, LiveSession
from impasto.studio.workers.protocol import LiveReady, LiveSettings


@pytest.fixture
def session() -> LiveSession:
    session = LiveSession()
    session.apply(LiveSettings(style="violet-spots"))
    return session


def encoded(image: Image.Image, format: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_pictures_of_the_documented_types(format, session, photo_image):
    painted = Image.open(io.BytesIO(session.paint(encoded(photo_image, format))))
    assert (painted.format, painted.size) == ("JPEG", photo_image.size)


@pytest.mark.parametrize("format", ["gif", "tiff", "bmp", "jpeg2000"])
def test_other_types(format, session, photo_image):
    with pytest.raises(ImageError, match="should be a JPEG, PNG or WebP"):
        session.paint(encoded(photo_image, format))


def test_an_enormous_picture_isnt_decoded(session, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(ImageError, match="the limit is 4 megapixels"):
        session.paint(bomb(30_000, 30_000))
    with pytest.raises(ImageError, match="at least 32 px"):
        session.paint(bomb(31, 300))


def test_the_painting_has_the_limits_of_uploads(session):
    with pytest.raises(ImageError, match="the limit is 100 megapixels"):
        session.apply(LiveSettings(painting=base64.b64encode(bomb(14_000, 14_000)).decode()))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "I;16"])
def test_a_large_painting_is_shrunk_as_it_is_read(mode, session):
    color = {"RGB": "red", "RGBA": "red"}.get(mode, 200)
    size = (600, 400) if mode in ("P", "I;16") else (9000, 6000)
    painting = base64.b64encode(encoded(Image.new(mode, size, color), "png")).decode()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert session.apply(LiveSettings(painting=painting)) == LiveReady(method="instant")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 700_000  # kB
    style = session.stylist.style
    least = min(max(size), 2 * PAINTING_PX)
    assert least <= max(style.width, style.height) < 1.5 * least
