"""The process that paints the pictures of one live session; see ``protocol.py``."""

from __future__ import annotations

import base64
import io
import os
import sys
from pathlib import Path

import cv2
import numpy as np

from impasto.base import own_process
from impasto.base.errors import ImageError, ImpastoError, RecipeError
from impasto.images.limits import Limits
from impasto.images.opening import open_image
from impasto.images.picture import Picture
from impasto.images.read import read
from impasto.library import api
from impasto.live.stylist import ORDERS, Stylist, number, setting
from impasto.studio.jobs.limits import UPLOADS
from impasto.studio.jobs.models import JsonObject
from impasto.studio.workers.protocol import (
    PICTURE_FRAME,
    LiveError,
    LiveReady,
    LiveSettings,
    MessageFrame,
    encode_frame,
    encode_message,
    read_frame,
)
from impasto.styles import catalogue
from impasto.styles.style_file import is_style_file

LIVE = Limits(max_megapixels=4)
LIVE_FORMATS = ("JPEG", "MPO", "PNG", "WEBP")
"""MPO is a JPEG with more pictures behind it."""
MIN_SIDE_PX = 32
MAX_SIDE_PX = 1280
"""Long side that a picture is painted at. Larger ones are reduced and enlarged again."""
DEFAULT_RATE = 15.0
"""Pictures a second."""
PAINTING_PX = 1024
"""Long side of a painting that is sent. More shows in no live picture."""
JPEG_QUALITY = 88
RATES = 1.0, 60.0
"""The lowest and the highest rate, in pictures a second."""


class LiveSession:
    """The settings of a live session, and the stylist that paints with them."""

    def __init__(self) -> None:
        self.stylist: Stylist | None = None
        self.method = ""

    def apply(self, wanted: LiveSettings) -> LiveReady:
        """Apply settings.

        Raises:
            ImageError: The painting can't be read.
            RecipeError: A setting makes no sense.
        """
        given = wanted.given()
        settings: dict[str, object] = {}
        for name in ORDERS:
            if name in given:
                settings |= setting(name, given[name])
        rate = number("rate", given["rate"], *RATES) if "rate" in given else None
        style = _style(given) if "style" in given or "painting" in given else None
        if self.stylist is None:
            if style is None:
                raise RecipeError("choose a style first")
            self.stylist = Stylist(style, size=MAX_SIDE_PX, rate=DEFAULT_RATE)
        elif style is not None:
            settings["style"] = style
        if settings:
            self.stylist.change(**settings)
        self.stylist.rate = rate or self.stylist.rate
        if style is not None:
            self.method, _ = api.in_one_pass(style)
        return LiveReady(method=self.method)

    def paint(self, data: bytes) -> bytes:
        """Return an encoded picture, painted, as a JPEG.

        Raises:
            ImageError: The picture can't be used.
            RecipeError: No style has been chosen.
        """
        if self.stylist is None:
            raise RecipeError("choose a style first")
        _check_live_picture(data)
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            image = None
        if image is None:
            raise ImageError("the live picture is damaged or cut short")
        painted = self.stylist.painted(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        bgr = cv2.cvtColor(painted, cv2.COLOR_RGB2BGR)
        _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        return encoded.tobytes()

    def answer(self, frame: MessageFrame) -> bytes:
        """Return the frame that answers a frame of the server."""
        is_picture = frame.kind == PICTURE_FRAME
        try:
            if is_picture:
                return encode_frame(PICTURE_FRAME, self.paint(frame.payload))
            settings = LiveSettings.model_validate_json(frame.payload)
            return encode_message(self.apply(settings))
        except (ImpastoError, ValueError) as error:
            sentence = " ".join(str(error).split())
            return encode_message(LiveError(error=sentence, picture=is_picture))


def _check_live_picture(data: bytes) -> None:
    """Raise ImageError by a picture's first bytes: a tiny file can hold an enormous picture."""
    with open_image(io.BytesIO(data), "the live picture", LIVE) as image:
        if image.format not in LIVE_FORMATS:
            raise ImageError("a live picture should be a JPEG, PNG or WebP")
        if min(image.size) < MIN_SIDE_PX:
            raise ImageError(f"a live picture needs at least {MIN_SIDE_PX} px a side")


def _style(given: JsonObject) -> str | Path | Picture | bytes:
    """Return the style in the settings of a live session.

    The settings contain the name of a style, or a painting or style file in base64. A name is never
    used as the path of a file.
    """
    if "painting" in given:
        try:
            data = base64.b64decode(str(given["painting"]), validate=True)
        except ValueError:
            raise ImageError("the painting should be a picture in base64") from None
        if is_style_file(data):
            return data
        return read(data, limits=UPLOADS, name="the painting", needed_side=lambda *_: PAINTING_PX)
    name = str(given["style"])
    style = next((entry for entry in catalogue.entries() if entry.name == name), None)
    if style is None:
        raise RecipeError(f"there is no style {name!r:.40}")
    return style.painting or style.file or name


def main() -> None:
    """Serve a session until standard input ends."""
    own_process.configure()
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not get between the messages
    session = LiveSession()
    while (frame := read_frame(sys.stdin.buffer)) is not None:
        output.write(session.answer(frame))
        output.flush()


if __name__ == "__main__":
    main()
