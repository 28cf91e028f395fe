"""The process that paints one live session: pictures in by standard input, pictures out.

A message is its length (4 bytes, big-endian), a letter and its bytes: ``J`` JSON, ``P`` a picture
(JPEG, PNG or WebP). What comes in as JSON are settings, as in docs/rest.md; what goes out,
``ready`` or ``error``, a sentence. Each picture is answered by one, in order, or an error.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
from typing import Any, BinaryIO

import cv2
import numpy as np

from impasto.base import own_process
from impasto.base.errors import ImageError, ImpastoError, RecipeError
from impasto.images.limits import Limits
from impasto.images.opening import open_image
from impasto.images.read import read
from impasto.live.stylist import ORDERS, Stylist, number, setting
from impasto.networks import styles
from impasto.studio import gallery
from impasto.studio.settings import UPLOADS

LIVE = Limits(max_megapixels=4)
LIVE_FORMATS = ("JPEG", "MPO", "PNG", "WEBP")
"""MPO is a JPEG with more pictures behind it."""
LEAST_SIDE = 32
PAINTING_PX = 1024
"""Long side of a painting that is sent: more shows in no live picture."""
QUALITY = 88
RATES = 1.0, 60.0


class Session:
    """What one person has chosen, and the painter of it."""

    def __init__(self) -> None:
        self.stylist: Stylist | None = None

    def settle(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Take settings. Raises ImageError, RecipeError."""
        settings: dict[str, Any] = {}
        for word in ORDERS:
            if word in wanted:
                settings |= setting(word, wanted[word])
        rate = number("rate", wanted["rate"], *RATES) if "rate" in wanted else None
        if "style" in wanted or "painting" in wanted:
            settings["style"] = _style(wanted)
        if self.stylist is None:
            if "style" not in settings:
                raise RecipeError("choose a style first")
            self.stylist = Stylist(settings.pop("style"), size=1280, rate=rate or 15.0, **settings)
        else:
            if settings:
                self.stylist.change(**settings)
            self.stylist.rate = rate or self.stylist.rate
        return {"ready": True}

    def painted(self, data: bytes) -> bytes:
        """An encoded picture, painted and encoded. Raises ImageError, RecipeError."""
        if self.stylist is None:
            raise RecipeError("choose a style first")
        _check_live_picture(data)
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            image = None
        if image is None:
            raise ImageError("the live picture is damaged or cut short")
        shown = self.stylist.painted(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        bgr = cv2.cvtColor(shown, cv2.COLOR_RGB2BGR)
        _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        return encoded.tobytes()


def _check_live_picture(data: bytes) -> None:
    """Raise ImageError by a picture's first bytes: a tiny file can hold an enormous picture."""
    with open_image(io.BytesIO(data), "the live picture", LIVE) as image:
        if image.format not in LIVE_FORMATS:
            raise ImageError("a live picture should be a JPEG, PNG or WebP")
        if min(image.size) < LEAST_SIDE:
            raise ImageError(f"a live picture needs at least {LEAST_SIDE} px a side")


def _style(wanted: dict[str, Any]) -> Any:
    """A built-in style or painting by name, or a painting in base64; never a file's name."""
    if "painting" in wanted:
        try:
            data = base64.b64decode(str(wanted["painting"]), validate=True)
        except ValueError:
            raise ImageError("the painting should be a picture in base64") from None
        return read(data, limits=UPLOADS, name="the painting", needed_side=lambda *_: PAINTING_PX)
    name = str(wanted["style"])
    if name in styles.NAMES:
        return name
    if name in gallery.paintings():
        return gallery.paintings()[name]
    raise RecipeError(f"there is no style {name!r:.40}")


def read_message(stream: BinaryIO) -> tuple[str, bytes] | None:
    """The next message; None at the end."""
    head = stream.read(5)
    if len(head) < 5:
        return None
    return chr(head[4]), stream.read(int.from_bytes(head[:4], "big"))


def write_message(stream: BinaryIO, kind: str, data: bytes) -> None:
    """Send a message."""
    stream.write(len(data).to_bytes(4, "big") + kind.encode() + data)
    stream.flush()


def main() -> None:
    """Serve a session until its input ends."""
    own_process.configure()
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what prints is no message
    session = Session()
    while (message := read_message(sys.stdin.buffer)) is not None:
        kind, data = message
        try:
            if kind == "P":
                write_message(output, "P", session.painted(data))
                continue
            answer = session.settle(json.loads(data))
        except (ImpastoError, ValueError) as error:
            answer = {"error": " ".join(str(error).split()), "picture": kind == "P"}
        write_message(output, "J", json.dumps(answer).encode())


if __name__ == "__main__":
    main()
